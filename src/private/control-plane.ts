import { randomBytes } from "node:crypto";
import type { SecureContext } from "node:tls";
import { monotonic } from "../base/deadline.js";
import type { Log } from "../base/log.js";
import { lookupAll } from "../base/lookup.js";
import type { Port } from "../base/port.js";
import { reason } from "../base/reasons.js";
import { signal } from "../base/signal.js";
import { logResults } from "../mesh/log-results.js";
import {
  type DeclineReason,
  type FromPublic,
  type NameResult,
  protocolVersion,
  type Welcome,
} from "../mesh/messages.js";
import type { PoolSettings } from "../settings/types.js";
import type { ResolvedAddress } from "../transport/transport.js";
import { type Attachment, createAttachment } from "./attachment.js";
import type { EndpointRules } from "./endpoint-rules.js";
import type { FromPrivateDataPlane, PrivateDataPlaneConfig, RendezvousRecord, ToPrivateDataPlane } from "./messages.js";
import { createPools } from "./pool.js";
import { createTargetBook, type NumberedTarget, type TargetStatement } from "./target-book.js";

/** No client waits longer, whatever an offer says. */
const maxOfferMs = 600_000;
/** What a public proxy that does not say how long a verdict may take waits for it by default. */
const usualAttemptMs = 3000;

export interface PrivateControlPlaneOptions {
  readonly name: string;
  readonly version: string;
  readonly log: Log;
  readonly port: Port<FromPrivateDataPlane, ToPrivateDataPlane>;
  readonly publics: readonly { readonly host: string; readonly port: number }[];
  readonly serverName: string;
  readonly context: SecureContext;
  readonly reconnect: { readonly minMs: number; readonly maxMs: number };
  readonly keepalive: { readonly intervalMs: number; readonly timeoutMs: number };
  readonly endpointRules: EndpointRules;
  readonly targets: readonly TargetStatement[];
  readonly pool: PoolSettings;
}

/** Attachments, announcements and endpoint rules of a private proxy. It decides; the data plane is told, and acts. */
export interface PrivateControlPlane {
  attachments(): AttachmentStatus[];
  announcements(): AnnouncementStatus[];
  readonly attached: number;
  readonly accepted: number;
  /** Dial-backs that are parked, or on their way to it. */
  readonly pooled: number;
  reconfigure(
    next: { readonly targets: readonly TargetStatement[]; readonly pool: PoolSettings },
    config: PrivateDataPlaneConfig,
  ): void;
  /** Tells every public proxy that no more offers are wanted, then lets the data plane finish. */
  drain(): Promise<void>;
  /** Cuts what is left. Resolves when the data plane has closed and every session has ended. */
  close(): Promise<void>;
}

export interface AttachmentStatus {
  readonly publicProxy: string;
  readonly state: Attachment["state"]["state"];
  readonly nodeName: string | null;
  readonly since: string | null;
  readonly why: string | null;
  readonly retryAt: string | null;
}

export interface AnnouncementStatus {
  readonly name: string;
  readonly target: string;
  readonly alpn: readonly string[];
  readonly publicProxy: string;
  readonly status: NameResult["status"] | "pending";
  readonly detail: string;
}

/** A public proxy and what it said of our announcements. */
interface Public {
  readonly address: string;
  readonly attachment: Attachment;
  /** By announcement id, then by name. */
  readonly results: Map<number, Map<string, NameResult>>;
}

export function createPrivateControlPlane(options: PrivateControlPlaneOptions): PrivateControlPlane {
  const { log, port } = options;
  let leaving = false;
  const drained = signal();
  const closed = signal();
  const instance = randomBytes(16).toString("hex");
  const book = createTargetBook({
    publish: (targets) => port.post({ type: "targets", targets }),
    lookup: lookupAll,
  });
  book.replace(options.targets);
  /** Which public proxy made the offers of a session, by `sessionKey`: declines go back there. */
  const bySession = new Map<string, Public>();

  const pools = createPools({
    settings: options.pool,
    now: monotonic,
    park: (session, tokens) => port.post({ type: "park", session, tokens }),
  });

  const publics: readonly Public[] = options.publics.map(({ host, port: meshPort }) => {
    const address = host.includes(":") ? `[${host}]:${meshPort}` : `${host}:${meshPort}`;
    const results: Public["results"] = new Map();
    let failures = 0;
    const attachment = createAttachment({
      ...options,
      lookup: lookupAll,
      host,
      port: meshPort,
      serverName: options.serverName === "" ? host : options.serverName,
      hello: { protocolVersion, name: options.name, instance, softwareVersion: options.version },
      events: {
        attached(welcome, ip) {
          failures = 0;
          bySession.set(sessionKey(address, welcome), publicProxy);
          log.info({ publicProxy: address, node: welcome.nodeName, version: welcome.softwareVersion }, "attached");
          void openRendezvous(publicProxy, welcome, { host, ip });
        },
        received: (message) => receive(publicProxy, message),
        detached(welcome, why) {
          const session = sessionKey(address, welcome);
          bySession.delete(session);
          pools.detached(session);
          results.clear();
          port.post({ type: "detached", session });
          if (leaving) log.info({ publicProxy: address }, "detached");
          else log.warn({ publicProxy: address, why, reason: "mesh_lost" }, reason("mesh_lost").means);
        },
        failed(why, retryMs) {
          // The first failure is news; that it goes on is not.
          const level = failures++ === 0 ? "warn" : "debug";
          log[level](
            { publicProxy: address, why, retryMs: Math.round(retryMs), reason: "mesh_unreachable" },
            "not attached, trying again",
          );
        },
      },
    });
    const publicProxy: Public = { address, attachment, results };
    return publicProxy;
  });

  /** Tells the data plane where this session's dial-backs may go, and only then announces: offers come after that. */
  async function openRendezvous(
    publicProxy: Public,
    welcome: Welcome,
    dialled: { host: string; ip: string },
  ): Promise<void> {
    const endpoints: (readonly ResolvedAddress[])[] = [];
    const lookups: Promise<void>[] = [];
    for (const [index, endpoint] of welcome.rendezvousEndpoints.entries()) {
      const judged = options.endpointRules.judge(endpoint, dialled);
      endpoints[index] = [];
      if (judged.status === "refused") {
        log.warn(
          { publicProxy: publicProxy.address, endpoint, reason: "endpoint_refused", problem: judged.problem },
          reason("endpoint_refused").means,
        );
        continue;
      }
      lookups.push(
        lookupAll(judged.host).then((ips) => {
          endpoints[index] = ips.map((ip) => ({ kind: "tcp", ip, port: judged.port }));
        }),
      );
    }
    await Promise.all(lookups);
    const session = sessionKey(publicProxy.address, welcome);
    if (!bySession.has(session) || leaving) return;
    const attemptTimeoutMs = welcome.attemptTimeoutMs === 0 ? usualAttemptMs : welcome.attemptTimeoutMs;
    port.post({ type: "attached", session, publicProxy: publicProxy.address, endpoints, attemptTimeoutMs });
    // Where no endpoint may be dialled nothing could be parked.
    if (endpoints.some((addresses) => addresses.length > 0)) {
      pools.attached(session, (state) => publicProxy.attachment.send({ type: "poolState", ...state }));
    }
    for (const target of book.current) {
      void book.lookedUp(target).then(() => {
        if (bySession.has(session)) announce(publicProxy.attachment, target);
      });
    }
  }

  /** Not what was taken out of the settings while it was looked up. */
  function announce(attachment: Attachment, target: NumberedTarget): void {
    const { announcementId, names, alpn } = target;
    if (!book.current.includes(target)) return;
    attachment.send({ type: "announce", announcementId, names, alpn, weight: 1, priority: 0 });
  }

  function receive(publicProxy: Public, message: Exclude<FromPublic, { type: "welcome" | "ping" }>): void {
    const { attachment, address } = publicProxy;
    switch (message.type) {
      case "offers": {
        const { state } = attachment;
        if (state.state !== "attached") return;
        const offers = message.offers.map((offer) => ({ ...offer, msLeft: Math.min(offer.msLeft, maxOfferMs) }));
        const session = sessionKey(address, state.welcome);
        port.post({ type: "offers", session, offers });
        pools.offered(session, offers.length);
        return;
      }
      case "poolGrant": {
        const { state } = attachment;
        if (state.state === "attached")
          pools.granted(sessionKey(address, state.welcome), message.tokens, message.msLeft);
        return;
      }
      case "cancelOffer":
        return port.post({ type: "cancel", token: message.token });
      case "announceResult":
        return logResults(log, { publicProxy: address }, keepResults(publicProxy, message));
      case "drain":
        return log.info({ publicProxy: address }, "the public proxy is about to stop");
    }
  }

  /** Keeps, and returns, what is news about names that were announced: anything else could grow without end. */
  function keepResults(
    { results }: Public,
    { announcementId, results: told }: { announcementId: number; results: readonly NameResult[] },
  ): readonly NameResult[] {
    const target = book.current.find((candidate) => candidate.announcementId === announcementId);
    if (target === undefined) return [];
    const names = new Set(target.names);
    const known = results.get(announcementId) ?? new Map<string, NameResult>();
    results.set(announcementId, known);
    const news = told.filter(({ name, status }) => names.has(name) && known.get(name)?.status !== status);
    for (const result of news) known.set(result.name, result);
    return news;
  }

  function unparked({ session, how, count, detail }: Extract<FromPrivateDataPlane, { type: "unparked" }>): void {
    if (how === "failed" && !leaving) {
      const publicProxy = bySession.get(session)?.address;
      log.debug({ publicProxy, count, detail }, "a dial-back could not be parked");
    }
    pools.unparked(session, how, count);
  }

  port.receive((message) => {
    switch (message.type) {
      case "declined":
        bySession
          .get(message.session)
          ?.attachment.send({ type: "offerReply", token: message.token, reason: message.reason as DeclineReason });
        return;
      case "unparked":
        return unparked(message);
      case "ended":
        return logRendezvous(log, message.record);
      case "fault":
        return log.error({ fault: message.message }, "a fault of this program");
      case "drained":
        return drained.settle();
      case "closed":
        return closed.settle();
    }
  });

  return {
    attachments: () => publics.map(attachmentStatus),
    announcements: () =>
      publics.flatMap(({ address, results }) =>
        book.current.flatMap((target) =>
          target.names.map((name) => {
            const result = results.get(target.announcementId)?.get(name);
            return {
              name,
              target:
                target.address.kind === "unix"
                  ? `unix:${target.address.path}`
                  : `${target.address.host}:${target.address.port}`,
              alpn: target.alpn,
              publicProxy: address,
              status: result?.status ?? "pending",
              detail: result?.detail ?? "",
            };
          }),
        ),
      ),
    get attached() {
      return publics.filter(({ attachment }) => attachment.state.state === "attached").length;
    },
    get accepted() {
      const names = publics.flatMap(({ results }) => [...results.values()].flatMap((byName) => [...byName.values()]));
      return new Set(names.filter(({ status }) => status === "accepted").map(({ name }) => name)).size;
    },
    get pooled() {
      return pools.held;
    },
    reconfigure({ targets, pool }, config) {
      port.post({ type: "configure", config });
      pools.configure(pool);
      const { added, removed } = book.replace(targets);
      for (const { announcementId } of removed) for (const { results } of publics) results.delete(announcementId);
      // What is new first, as soon as it can serve: a name that moves from one target to another is never unannounced.
      const announced = added.map(async (target) => {
        await book.lookedUp(target);
        for (const { attachment } of publics) announce(attachment, target);
      });
      void Promise.all(announced).then(() => {
        for (const { announcementId } of removed) {
          for (const { attachment } of publics) attachment.send({ type: "withdraw", announcementId });
        }
      });
    },
    async drain() {
      leaving = true;
      pools.close();
      for (const { attachment } of publics) {
        attachment.stopReconnecting();
        attachment.send({ type: "leaving" });
      }
      port.post({ type: "drain" });
      await drained.settled;
    },
    async close() {
      pools.close();
      port.post({ type: "close" });
      await closed.settled;
      drained.settle();
      await Promise.all(publics.map(({ attachment }) => attachment.stop()));
      book.close();
      port.close();
    },
  };
}

/** A public proxy chooses its sessions' ids, and must not be able to choose another's. */
function sessionKey(address: string, { sessionId }: Welcome): string {
  return `${address} ${sessionId}`;
}

function attachmentStatus({ address, attachment: { state } }: Public): AttachmentStatus {
  return {
    publicProxy: address,
    state: state.state,
    nodeName: state.state === "attached" ? state.welcome.nodeName : null,
    since: state.state === "attached" ? state.since.toISOString() : null,
    why: state.state === "waiting" ? state.why : null,
    retryAt: state.state === "waiting" ? state.retryAt.toISOString() : null,
  };
}

function logRendezvous(log: Log, { refused, detail, ...record }: RendezvousRecord): void {
  if (refused === undefined) log.info({ ...record }, "connection");
  else
    log[reason(refused).level](
      { ...record, reason: refused, detail },
      `connection not served: ${reason(refused).means}`,
    );
}
