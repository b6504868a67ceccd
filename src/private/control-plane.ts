import { randomBytes } from "node:crypto";
import type { SecureContext } from "node:tls";
import type { TargetStatus } from "../admin/status.js";
import { formatAddress } from "../base/address.js";
import { monotonic } from "../base/deadline.js";
import type { Log, LogFields } from "../base/log.js";
import { lookupAll } from "../base/lookup.js";
import type { Port } from "../base/port.js";
import { reason } from "../base/reasons.js";
import { signal } from "../base/signal.js";
import { watchSuspension } from "../base/suspension.js";
import { maxAttachedTo } from "../mesh/codec.js";
import {
  type DeclineReason,
  type FromPrivate,
  type FromPublic,
  protocolVersion,
  type Welcome,
} from "../mesh/messages.js";
import type { PoolSettings } from "../settings/types.js";
import type { ResolvedAddress } from "../transport/transport.js";
import { type AnnouncedTo, type AnnouncementStatus, createAnnouncing } from "./announcing.js";
import { createAttachment } from "./attachment.js";
import {
  type Attached,
  type Attachments,
  type AttachmentsOptions,
  createAttachments,
  type PublicPlace,
} from "./attachments.js";
import type { EndpointRules } from "./endpoint-rules.js";
import { createHealthChecks } from "./health-checks.js";
import type { FromPrivateDataPlane, PrivateDataPlaneConfig, RendezvousRecord, ToPrivateDataPlane } from "./messages.js";
import { createPools } from "./pool.js";
import type { QueueLoad } from "./queue-board.js";
import { type AttachmentStatus, attachmentStatus, missingStatus, targetStatus } from "./status.js";
import { createTargetBook, type TargetStatement } from "./target-book.js";

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
  /** Tests: how the names of public proxies are looked up. */
  readonly lookup?: AttachmentsOptions<never>["lookup"];
  readonly serverName: string;
  readonly context: SecureContext;
  readonly reconnect: { readonly minMs: number; readonly maxMs: number };
  readonly keepalive: { readonly intervalMs: number; readonly timeoutMs: number };
  readonly endpointRules: EndpointRules;
  readonly targets: readonly TargetStatement[];
  readonly pool: PoolSettings;
  /** What the server with this slot has, over all data planes. */
  readonly connections: (slot: number) => number;
  /** What there is at a target with a cap. */
  readonly queueLoad: (queueId: number) => QueueLoad;
}

/** Attachments, targets and endpoint rules of a private proxy. It decides; the data plane is told, and acts. */
export interface PrivateControlPlane {
  attachments(): AttachmentStatus[];
  announcements(): AnnouncementStatus[];
  targets(): TargetStatus[];
  readonly attached: number;
  readonly accepted: number;
  /** Dial-backs that are parked, or on their way to it. */
  readonly pooled: number;
  reconfigure(
    next: { readonly targets: readonly TargetStatement[]; readonly pool: PoolSettings },
    config: PrivateDataPlaneConfig,
  ): void;
  /**
   * Tells every public proxy that no more offers are wanted, then lets the data plane finish: also with the clients that
   * were offered before that was heard.
   */
  drain(): Promise<void>;
  /** Cuts what is left. Resolves when the data plane has closed and every session has ended. */
  close(): Promise<void>;
}

/** A session with a public proxy. While that one drains there may be another one with whoever takes its place. */
interface Session {
  /** What it is called between the planes. */
  readonly key: string;
  /** As the settings name its public proxy. */
  readonly name: string;
  readonly send: (message: FromPrivate) => void;
  draining: boolean;
}

/** A public proxy at one of its addresses, and what it is told. */
interface Public extends Attached {
  /** As the settings name it. */
  readonly name: string;
  readonly address: string;
  readonly announced: AnnouncedTo;
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
    healthOf: (server) => checks.of(server),
    changed() {
      checks.follow(book.current);
      announcing.update();
    },
  });
  const checks = createHealthChecks({
    log,
    addressesOf: book.whereIs,
    isFull: ({ cap }) => cap !== undefined && options.queueLoad(cap.queueId).live >= cap.maxConnections,
    changed: book.healthChanged,
  });
  const announcing = createAnnouncing({ log, book });
  book.replace(options.targets);
  /** Names without an address. */
  const unresolved = new Set<string>();
  /** By key: replies go to the session in which the offer came. */
  const bySession = new Map<string, Session>();
  const byWelcome = new WeakMap<Welcome, Session>();
  let serial = 0;

  const pools = createPools({
    settings: options.pool,
    now: monotonic,
    park: (session, tokens) => port.post({ type: "park", session, tokens }),
  });

  const attachments: Attachments<Public> = createAttachments({
    ...options,
    lookup: options.lookup ?? lookupAll,
    now: monotonic,
    open: openPublic,
    unresolved({ host, port: meshPort }, why, retryMs) {
      const name = formatAddress({ kind: "tcp", host, port: meshPort });
      const isNews = !unresolved.has(name);
      unresolved.add(name);
      logFailure(isNews, { publicProxy: name }, why, retryMs);
    },
  });

  function openPublic(place: PublicPlace): Public {
    const { host, ip } = place;
    const name = formatAddress({ kind: "tcp", host, port: place.port });
    const address = formatAddress({ kind: "tcp", host: ip, port: place.port });
    const at = { publicProxy: name, address };
    const announced = announcing.to(name, address);
    unresolved.delete(name);
    let failures = 0;
    let isGone = false;
    const attachment = createAttachment({
      ...options,
      ...place,
      serverName: options.serverName === "" ? host : options.serverName,
      hello: () => ({
        protocolVersion,
        name: options.name,
        instance,
        softwareVersion: options.version,
        attachedTo: nodesAttached(),
      }),
      events: {
        attached(welcome, send) {
          failures = 0;
          // A public proxy chooses its sessions' ids, and must not be able to choose another's.
          const key = `${address} ${serial++} ${welcome.sessionId}`;
          const session: Session = { key, name, send, draining: false };
          bySession.set(key, session);
          byWelcome.set(welcome, session);
          log.info({ ...at, node: welcome.nodeName, version: welcome.softwareVersion }, "attached");
          void openRendezvous(publicProxy, session, welcome, { host, ip });
        },
        received(message, welcome) {
          const session = byWelcome.get(welcome);
          if (session !== undefined) receive(publicProxy, session, message);
        },
        draining(welcome) {
          const session = byWelcome.get(welcome);
          if (session === undefined) return;
          session.draining = true;
          // What is announced there stays so until it stops; nothing more is parked there, or told to it.
          pools.detached(session.key);
          announced.closed();
          log.info(at, "the public proxy is about to stop");
        },
        detached(welcome, why, how) {
          const session = byWelcome.get(welcome);
          if (session === undefined) return;
          const { key, draining } = session;
          bySession.delete(key);
          port.post({ type: "detached", session: key });
          if (draining) return log.info(at, "detached");
          pools.detached(key);
          announced.closed();
          if (leaving || isGone || how === "duplicate") log.info({ ...at, why }, "detached");
          else log.warn({ ...at, why, reason: "mesh_lost" }, reason("mesh_lost").means);
          if (how !== "duplicate") attachments.lost();
        },
        failed(why, retryMs) {
          // The first failure is news; that it goes on is not.
          logFailure(failures++ === 0, at, why, retryMs);
          attachments.failed(place);
        },
      },
    });
    const publicProxy: Public = {
      name,
      address,
      attachment,
      announced,
      leaving() {
        isGone = true;
        log.info(at, "the public proxy's name does not have this address any more: leaving it");
      },
      gone: announced.gone,
    };
    return publicProxy;
  }

  /** Public proxies that know this process already: they need not be attached to at another of their addresses. */
  function nodesAttached(): string[] {
    const nodes = attachments.all().flatMap(({ attachment: { state } }) => {
      const node = state.state === "attached" ? (state.welcome.nodeInstance ?? "") : "";
      return node === "" ? [] : [node];
    });
    return nodes.slice(0, maxAttachedTo);
  }

  function logFailure(isNews: boolean, at: LogFields, why: string, retryMs: number): void {
    log[isNews ? "warn" : "debug"](
      { ...at, why, retryMs: Math.round(retryMs), reason: "mesh_unreachable" },
      "not attached, trying again",
    );
  }

  const unwatch = watchSuspension((suspendedMs) => {
    log.info(
      { suspendedMs },
      "this process was suspended, or the clock was set: every public proxy is asked whether it is there",
    );
    attachments.check();
  });

  /** Tells the data plane where this session's dial-backs may go, and only then announces: offers come after that. */
  async function openRendezvous(
    publicProxy: Public,
    { key: session, send }: Session,
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
          {
            publicProxy: publicProxy.name,
            address: publicProxy.address,
            endpoint,
            reason: "endpoint_refused",
            problem: judged.problem,
          },
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
    if (bySession.get(session)?.draining !== false || leaving) return;
    const attemptTimeoutMs = welcome.attemptTimeoutMs === 0 ? usualAttemptMs : welcome.attemptTimeoutMs;
    port.post({ type: "attached", session, publicProxy: publicProxy.name, endpoints, attemptTimeoutMs });
    // Where no endpoint may be dialled nothing could be parked.
    if (endpoints.some((addresses) => addresses.length > 0)) {
      pools.attached(session, (state) => send({ type: "poolState", ...state }));
    }
    publicProxy.announced.open(send);
  }

  function receive(
    { announced }: Public,
    { key: session, draining }: Session,
    message: Exclude<FromPublic, { type: "welcome" | "ping" | "drain" }>,
  ): void {
    switch (message.type) {
      case "offers": {
        const offers = message.offers.map((offer) => ({ ...offer, msLeft: Math.min(offer.msLeft, maxOfferMs) }));
        port.post({ type: "offers", session, offers });
        pools.offered(session, offers.length);
        return;
      }
      case "poolGrant":
        return pools.granted(session, message.tokens, message.msLeft);
      case "cancelOffer":
        return port.post({ type: "cancel", token: message.token });
      case "announceResult":
        if (!draining) announced.heard(message);
        return;
    }
  }

  function unparked({ session, how, count, detail }: Extract<FromPrivateDataPlane, { type: "unparked" }>): void {
    if (how === "failed" && !leaving) {
      const publicProxy = bySession.get(session)?.name;
      log.debug({ publicProxy, count, detail }, "a dial-back could not be parked");
    }
    pools.unparked(session, how, count);
  }

  port.receive((message) => {
    switch (message.type) {
      case "declined":
        bySession
          .get(message.session)
          ?.send({ type: "offerReply", token: message.token, reason: message.reason as DeclineReason });
        return;
      case "queued": {
        const { session, token, msLeft } = message;
        bySession.get(session)?.send({ type: "queued", token, msLeft });
        return;
      }
      case "unparked":
        return unparked(message);
      case "pass":
        // Only between workers, and then it does not come as far as this.
        return;
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
    attachments: () => [
      ...attachments.all().flatMap(({ name, address, attachment }) => attachmentStatus(name, address, attachment)),
      ...attachments.missing().flatMap(missingStatus),
    ],
    announcements: announcing.list,
    targets: () => book.current.map((target) => targetStatus(target, checks.of, options)),
    get attached() {
      return attachments.all().filter(({ attachment }) => attachment.state.state === "attached").length;
    },
    get accepted() {
      return announcing.accepted;
    },
    get pooled() {
      return pools.held;
    },
    reconfigure({ targets, pool }, config) {
      port.post({ type: "configure", config });
      pools.configure(pool);
      book.replace(targets);
    },
    async drain() {
      leaving = true;
      pools.close();
      checks.close();
      attachments.stopReconnecting();
      for (const { attachment } of attachments.all()) attachment.send({ type: "leaving" });
      port.post({ type: "drain" });
      await drained.settled;
    },
    async close() {
      unwatch();
      pools.close();
      checks.close();
      port.post({ type: "close" });
      await closed.settled;
      drained.settle();
      await attachments.stop();
      book.close();
      port.close();
    },
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
