import { randomBytes } from "node:crypto";
import { createSlots } from "../base/count-board.js";
import type { CounterTotals } from "../base/counters.js";
import { atMost, monotonic } from "../base/deadline.js";
import type { Log } from "../base/log.js";
import type { Port } from "../base/port.js";
import { type ReasonCode, reason } from "../base/reasons.js";
import { signal } from "../base/signal.js";
import { watchSuspension } from "../base/suspension.js";
import { tokenBuckets } from "../base/token-bucket.js";
import { logResults } from "../mesh/log-results.js";
import type { MeshServerOptions } from "../mesh/server.js";
import { tokenBytes } from "../rendezvous/token.js";
import { maxUnansweredOffers } from "./balance.js";
import { createGrants, type GrantStatement } from "./grants.js";
import { createInForce } from "./in-force.js";
import { maxSlots } from "./loads.js";
import type { ConnectionRecord, FromPublicDataPlane, PublicDataPlaneConfig, ToPublicDataPlane } from "./messages.js";
import { createOutbox } from "./outbox.js";
import { createRegistry, maxNamesPerSession, type RegisteredName, type RegistryChange } from "./registry.js";
import { createSessions, type Session } from "./sessions.js";

/** How long a session's names stay its identity's after the same instance has attached anew. Announcing takes a moment. */
const successionMs = 5000;
/** Whoever comes too often, and a mesh port that cannot accept: Node tries again at once. */
const oncePerSecond: ReadonlySet<ReasonCode> = new Set([
  "rendezvous_rate_limited",
  "mesh_rate_limited",
  "descriptors_exhausted",
]);
/** How often a process that takes over looks whether the private proxies have come. */
const lookForSessionsMs = 20;
/** A client may be dealt to another worker, and be passed on again with its hello. */
const mostPasses = 2;
/** Keeps a message far below the 4 MiB that gRPC takes, however long names and details are. */
const maxResultsPerMessage = 2000;

export interface PublicControlPlaneOptions {
  readonly name: string;
  readonly version: string;
  readonly log: Log;
  readonly port: Port<FromPublicDataPlane, ToPublicDataPlane>;
  readonly grants: readonly GrantStatement[];
  readonly config: Omit<PublicDataPlaneConfig, "grantedPatterns">;
  readonly rendezvousEndpoints: readonly string[];
  readonly keepalive: { readonly intervalMs: number; readonly timeoutMs: number };
  readonly counters: () => CounterTotals;
  /** The data planes accept nobody until `accept`. */
  readonly holds?: boolean;
  /** Counts a refusal on the mesh. */
  readonly refuse: (code: ReasonCode) => void;
}

/** Mesh, grants and registry of a public proxy. It decides; the data plane is told, and acts. */
export interface PublicControlPlane {
  /** For the mesh server. */
  readonly mesh: Pick<MeshServerOptions, "attach" | "refused">;
  attachments(): AttachmentStatus[];
  announcements(): (RegisteredName & { readonly privateProxy: string })[];
  reconfigure(grants: readonly GrantStatement[], config: Omit<PublicDataPlaneConfig, "grantedPatterns">): void;
  readonly accepted: number;
  readonly attached: number;
  /** Data planes that held back at the start accept from now on. */
  accept(): void;
  /** Tells every private proxy, once, that this process is about to stop; and goes on. */
  tellDrain(): void;
  /** The sessions that are not about to leave, for whoever takes over: how many names of each are accepted. */
  expected(): ExpectedSession[];
  /** Resolves when as much is announced here, or the time is over. */
  haveCome(expected: readonly ExpectedSession[], ms: number): Promise<void>;
  /**
   * Stops accepting clients, waits at most so long until none that was accepted waits for a dial-back, and then accepts
   * no dial-backs either.
   */
  stopAccepting(ms: number): Promise<void>;
  /** Tells every private proxy, then lets the data plane finish. Resolves when no connection is left. */
  drain(): Promise<void>;
  /** Cuts what is left. Resolves when the data plane has closed. */
  close(): Promise<void>;
}

/** One private proxy process, and what it serves. */
export interface ExpectedSession {
  readonly identity: string;
  readonly instance: string;
  readonly names: number;
}

export interface AttachmentStatus {
  readonly identity: string;
  readonly name: string;
  readonly instance: string;
  readonly peer: string;
  readonly since: string;
  readonly rttMs: number | null;
  readonly version: string;
  readonly state: "attached" | "leaving";
}

export function createPublicControlPlane(options: PublicControlPlaneOptions): PublicControlPlane {
  const { log, port } = options;
  let grants = createGrants(options.grants);
  let { config } = options;
  const registry = createRegistry(grants);
  const succession = new Set<NodeJS.Timeout>();
  const drained = signal();
  const closed = signal();
  const deaf = signal();
  let quiet = signal();
  let isTold = false;
  /** What private proxies ask of the pool while nobody is accepted: what they would dial is still another process's. */
  const heldAsks = options.holds === true ? new Map<string, ToPublicDataPlane>() : undefined;
  let holds = options.holds === true;
  const slots = createSlots<string>(maxSlots);
  const inForce = createInForce((mark) => port.post({ type: "mark", mark }));
  const rateLimitLines = tokenBuckets({ perSecond: 1, burst: 1, maxKeys: 1000 });

  const nodeInstance = randomBytes(16).toString("hex");
  const sessions = createSessions({
    nodeInstance,
    keepalive: options.keepalive,
    now: monotonic,
    events: {
      attached(session) {
        const { identity, hello, link } = session;
        port.post({
          type: "attached",
          session: {
            session: session.id,
            identity: identity.text,
            name: hello.name,
            instance: hello.instance,
            ip: ipOf(link.peer),
            slot: slots.take(session.id),
          },
        });
        link.send({
          type: "welcome",
          welcome: {
            protocolVersion: hello.protocolVersion,
            nodeName: options.name,
            sessionId: session.id,
            rendezvousEndpoints: options.rendezvousEndpoints,
            unansweredOffers: maxUnansweredOffers,
            maxNames: maxNamesPerSession,
            attemptTimeoutMs: config.attemptTimeoutMs,
            softwareVersion: options.version,
            nodeInstance,
          },
        });
        log.info({ ...who(session), version: hello.softwareVersion }, "private proxy attached");
      },
      received(session, message) {
        switch (message.type) {
          case "announce":
            if (!session.leaving)
              apply(registry.announce({ session: session.id, identity: session.identity }, message));
            return;
          case "withdraw":
            apply(registry.withdraw(session.id, message.announcementId));
            return;
          case "offerReply":
            port.post({ type: "declined", session: session.id, token: message.token, reason: message.reason });
            return;
          case "queued":
            port.post({ type: "queued", session: session.id, token: message.token, msLeft: message.msLeft });
            return;
          case "poolState":
            if (!session.leaving) askPool({ ...message, type: "pool", session: session.id });
            return;
          case "leaving":
            session.leaving = true;
            port.post({ type: "sessionLeaving", session: session.id });
            apply(registry.drop(session.id));
            log.info(who(session), "private proxy is leaving");
            return;
        }
      },
      detached(session, why, replaced) {
        port.post({ type: "sessionGone", session: session.id, splices: "keep" });
        slots.free(session.id);
        if (replaced) keepForSuccessor(session);
        else apply(registry.drop(session.id));
        log.info({ ...who(session), why }, "private proxy detached");
      },
      suspected: ({ id }) => port.post({ type: "suspected", session: id }),
      answers: ({ id }) => port.post({ type: "answers", session: id }),
      refused,
    },
  });
  const outbox = createOutbox({
    linkOf: (session) => sessions.get(session)?.link,
    undeliverable: (session, token) => port.post({ type: "declined", session, token, reason: "verdict_refused" }),
  });

  const unwatch = watchSuspension((suspendedMs) => {
    log.info(
      { suspendedMs },
      "this process was suspended, or the clock was set: every private proxy is asked whether it is there",
    );
    sessions.check();
  });

  function askPool(message: Extract<ToPublicDataPlane, { type: "pool" }>): void {
    if (holds) heldAsks?.set(message.session, message);
    else port.post(message);
  }

  function tellDrain(): void {
    if (isTold) return;
    isTold = true;
    for (const session of sessions.all()) session.link.send({ type: "drain" });
  }

  function expected(): ExpectedSession[] {
    const names = new Map<string, number>();
    for (const { session, status } of registry.list()) {
      if (status === "accepted") names.set(session, (names.get(session) ?? 0) + 1);
    }
    return [...sessions.all()]
      .filter(({ leaving }) => !leaving)
      .map(({ id, identity, hello }) => ({
        identity: identity.text,
        instance: hello.instance,
        names: names.get(id) ?? 0,
      }));
  }

  /** Its names stay with its identity until the same instance has announced them anew: nobody who waits may get between. */
  function keepForSuccessor({ id }: Session): void {
    const timer = setTimeout(() => {
      succession.delete(timer);
      apply(registry.drop(id));
    }, successionMs);
    succession.add(timer);
  }

  function refused(code: ReasonCode, peer: string, detail: string): void {
    options.refuse(code);
    if (isRepetition(code, ipOf(peer))) return;
    log[reason(code).level]({ reason: code, peer, ...(detail === "" ? {} : { detail }) }, reason(code).means);
  }

  /** What may come without end is logged once a second for each address: counted is every time. */
  function isRepetition(code: ReasonCode, ip: string): boolean {
    return oncePerSecond.has(code) && !rateLimitLines.take(`${code} ${ip}`);
  }

  function apply(change: RegistryChange): void {
    for (const { session, announcementId, patterns } of change.withdrawn) {
      port.post({ type: "withdrawn", session, announcementId, patterns });
    }
    if (change.accepted.length > 0) port.post({ type: "announced", names: change.accepted });
    if (change.results.length > 0) inForce.tellAfter(change.accepted.length > 0, () => tellResults(change));
  }

  function tellResults(change: RegistryChange): void {
    for (const { session: id, announcementId, results } of change.results) {
      const session = sessions.get(id);
      if (session === undefined) continue;
      for (let at = 0; at < results.length; at += maxResultsPerMessage) {
        const part = results.slice(at, at + maxResultsPerMessage);
        session.link.send({ type: "announceResult", announcementId, results: part });
      }
      logResults(log, who(session), results);
    }
  }

  function grant({ session, tokens, msLeft }: Extract<FromPublicDataPlane, { type: "grant" }>): void {
    const all = Buffer.from(tokens, "latin1");
    const each: Uint8Array[] = [];
    for (let at = 0; at < all.length; at += tokenBytes) each.push(all.subarray(at, at + tokenBytes));
    sessions.get(session)?.link.send({ type: "poolGrant", tokens: each, msLeft });
  }

  port.receive((message) => {
    switch (message.type) {
      case "offer":
        return outbox.enqueue(message.session, message.offer);
      case "cancel":
        return outbox.cancel(message.session, message.token);
      case "grant":
        return grant(message);
      case "suspect":
        return sessions.suspect(message.session);
      case "marked":
        return inForce.reached(message.mark);
      case "ended":
        return logConnection(log, message.record);
      case "dialBackRefused":
        if (isRepetition(message.reason, message.peer)) return;
        return log[reason(message.reason).level](
          { reason: message.reason, peer: message.peer },
          `dial-back refused: ${reason(message.reason).means}`,
        );
      case "pass":
        // Only between workers, and then it does not come as far as this.
        return;
      case "starved":
        return log.warn({ listener: message.listener, detail: message.detail }, `accepting ${message.state}`);
      case "fault":
        return log.error({ fault: message.message }, "a fault of this program");
      case "quiet":
        return quiet.settle();
      case "deaf":
        return deaf.settle();
      case "drained":
        return drained.settle();
      case "closed":
        return closed.settle();
    }
  });

  function configure(next: Omit<PublicDataPlaneConfig, "grantedPatterns">): void {
    config = next;
    port.post({ type: "configure", config: { ...config, grantedPatterns: grants.patterns } });
  }
  configure(config);

  return {
    mesh: { attach: (link, certificate) => sessions.accept(link, certificate), refused },
    attachments: () =>
      [...sessions.all()].map((session) => ({
        identity: session.identity.text,
        name: session.hello.name,
        instance: session.hello.instance,
        peer: session.link.peer,
        since: session.attachedAt.toISOString(),
        rttMs: session.rttMs === undefined ? null : Math.round(session.rttMs * 10) / 10,
        version: session.hello.softwareVersion,
        state: session.leaving ? "leaving" : "attached",
      })),
    announcements: () =>
      registry.list().flatMap((name) => {
        const session = sessions.get(name.session);
        return session === undefined ? [] : [{ ...name, privateProxy: session.hello.name }];
      }),
    reconfigure(statements, next) {
      grants = createGrants(statements);
      apply(registry.regrant(grants));
      configure(next);
    },
    get accepted() {
      return registry.accepted;
    },
    get attached() {
      return sessions.size;
    },
    accept() {
      holds = false;
      port.post({ type: "accept" });
      for (const [session, ask] of heldAsks ?? []) if (sessions.get(session)?.leaving === false) port.post(ask);
      heldAsks?.clear();
    },
    tellDrain,
    expected,
    async haveCome(awaited, ms) {
      const until = monotonic() + ms;
      const key = ({ identity, instance }: ExpectedSession) => `${identity} ${instance}`;
      for (;;) {
        const here = new Map(expected().map((session) => [key(session), session.names]));
        if (awaited.every((session) => (here.get(key(session)) ?? -1) >= session.names)) return;
        if (monotonic() >= until) return;
        await new Promise((resolve) => setTimeout(resolve, lookForSessionsMs));
      }
    },
    async stopAccepting(ms) {
      const until = monotonic() + ms;
      // A connection may be on its way from one worker to another, twice at most, when both have said that they have none.
      for (let round = 0; round <= mostPasses; round++) {
        quiet = signal();
        port.post({ type: "quiesce" });
        await atMost(quiet.settled, Math.max(0, until - monotonic()));
        if (monotonic() >= until) break;
      }
      port.post({ type: "deafen" });
      await deaf.settled;
    },
    async drain() {
      tellDrain();
      port.post({ type: "drain" });
      await drained.settled;
    },
    async close() {
      port.post({ type: "close" });
      await closed.settled;
      drained.settle();
      unwatch();
      quiet.settle();
      deaf.settle();
      sessions.close();
      inForce.close();
      for (const timer of succession) clearTimeout(timer);
      for (const session of sessions.all()) session.link.end();
      port.close();
    },
  };
}

function who(session: Session) {
  return { identity: session.identity.text, privateProxy: session.hello.name, peer: session.link.peer };
}

function logConnection(log: Log, { refused, detail, ...record }: ConnectionRecord): void {
  if (refused === undefined) return log.info({ ...record }, "connection");
  const { level, means } = reason(refused);
  const more = detail === undefined || detail === means ? {} : { detail };
  log[level]({ ...record, reason: refused, ...more }, `connection refused: ${means}`);
}

/** The address without its port, IPv4-mapped ones as IPv4: as data planes see addresses. */
function ipOf(peer: string): string {
  const bracketed = /^\[(.*)\]:\d+$/.exec(peer);
  const ip = bracketed?.[1] ?? peer.slice(0, peer.lastIndexOf(":"));
  return ip.startsWith("::ffff:") && ip.includes(".") ? ip.slice("::ffff:".length) : ip;
}
