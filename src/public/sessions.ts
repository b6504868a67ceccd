import { randomBytes } from "node:crypto";
import type { ReasonCode } from "../base/reasons.js";
import { type Identity, readIdentity } from "../certificates/identity.js";
import type { MeshLink, MeshLinkEvents } from "../mesh/link.js";
import { type FromPrivate, type FromPublic, type PrivateHello, protocolVersion } from "../mesh/messages.js";

/** A stream must say who it is within this time. */
const helloTimeoutMs = 5000;

/** A peer that leaves more than this unread for so many pings in a row does not read at all. */
const maxUnread = 256;
const maxUnreadPings = 3;

/** One attached private proxy process. */
export interface Session {
  readonly id: string;
  readonly identity: Identity;
  readonly hello: PrivateHello;
  readonly link: MeshLink<FromPublic>;
  readonly attachedAt: Date;
  /** Round trip of the last ping, in milliseconds. */
  rttMs: number | undefined;
  leaving: boolean;
}

export interface SessionEvents {
  attached(session: Session): void;
  received(session: Session, message: Exclude<FromPrivate, { type: "hello" | "pong" }>): void;
  /** `replaced`: the same instance has attached anew, and is about to announce the same names. */
  detached(session: Session, why: string, replaced: boolean): void;
  /** It did not answer in time, and has been sent a ping; `answers` when it has answered one sent since. */
  suspected(session: Session): void;
  answers(session: Session): void;
  refused(reason: ReasonCode, peer: string, detail: string): void;
}

/**
 * The sessions of a public proxy, keyed by (identity, instance): a reconnect replaces only its own ghost, at once; two
 * processes of one identity stand side by side.
 */
export interface Sessions {
  accept(
    link: MeshLink<FromPublic>,
    certificate: Uint8Array,
  ): MeshLinkEvents<FromPrivate> | { readonly refused: ReasonCode; readonly detail: string };
  /** A data plane waited for it in vain: asks at once whether it is there. */
  suspect(id: string): void;
  /** Asks everybody at once, and ends the sessions of those who do not answer in time: this process was away for a while. */
  check(): void;
  get(id: string): Session | undefined;
  all(): Iterable<Session>;
  readonly size: number;
  /** Stops pinging. Links are not touched: they tell of their own end. */
  close(): void;
}

export function createSessions(options: {
  /** This process, as its welcome says it. */
  nodeInstance: string;
  keepalive: { readonly intervalMs: number; readonly timeoutMs: number };
  events: SessionEvents;
  now: () => number;
}): Sessions {
  const { events, now } = options;
  const byId = new Map<string, Session>();
  const byInstance = new Map<string, Session>();
  const pings = new Map<string, { nonce: bigint; at: number }>();
  /** By session: the ping whose answer, or that of a later one, clears it. */
  const suspects = new Map<string, bigint>();
  /** By session: the ping whose answer, or that of a later one, it must give before `checkTimer` has run out. */
  const checked = new Map<string, bigint>();
  let checkTimer: NodeJS.Timeout | undefined;
  let nonce = 0n;

  /** Pings in a row that found too much unread. */
  const unread = new Map<Session, number>();

  const pinging = setInterval(() => {
    for (const session of [...byId.values()]) {
      const stuck = session.link.backlog > maxUnread ? (unread.get(session) ?? 0) + 1 : 0;
      if (stuck >= maxUnreadPings) {
        const why = "the peer does not read what it is sent";
        events.refused("mesh_protocol_violated", session.link.peer, why);
        session.link.destroy(why);
        detach(session, why);
        continue;
      }
      if (stuck > 0) unread.set(session, stuck);
      else unread.delete(session);
      ping(session);
    }
  }, options.keepalive.intervalMs);
  pinging.unref();

  function ping(session: Session): void {
    nonce++;
    pings.set(session.id, { nonce, at: now() });
    session.link.send({ type: "ping", nonce });
  }

  function pong(session: Session, answered: bigint): void {
    const last = pings.get(session.id);
    if (last?.nonce === answered) session.rttMs = now() - last.at;
    const asked = checked.get(session.id);
    if (asked !== undefined && answered >= asked) checked.delete(session.id);
    const clearing = suspects.get(session.id);
    if (clearing === undefined || answered < clearing) return;
    suspects.delete(session.id);
    events.answers(session);
  }

  function endUnanswered(): void {
    checkTimer = undefined;
    for (const id of checked.keys()) {
      const session = byId.get(id);
      if (session === undefined) continue;
      detach(session, `no answer within ${options.keepalive.timeoutMs} ms`);
      session.link.destroy();
    }
    checked.clear();
  }

  function detach(session: Session, why: string, replaced = false): void {
    if (!byId.delete(session.id)) return;
    pings.delete(session.id);
    suspects.delete(session.id);
    checked.delete(session.id);
    unread.delete(session);
    const key = instanceKey(session);
    if (byInstance.get(key) === session) byInstance.delete(key);
    events.detached(session, why, replaced);
  }

  function attach(link: MeshLink<FromPublic>, identity: Identity, hello: PrivateHello): Session {
    const session: Session = {
      id: randomBytes(16).toString("hex"),
      identity,
      hello,
      link,
      attachedAt: new Date(),
      rttMs: undefined,
      leaving: false,
    };
    const ghost = byInstance.get(instanceKey(session));
    if (ghost !== undefined) {
      const why = "the same instance attached again";
      detach(ghost, why, true);
      ghost.link.destroy(why, "duplicate");
    }
    byId.set(session.id, session);
    byInstance.set(instanceKey(session), session);
    events.attached(session);
    return session;
  }

  /** It says itself that it is attached here, and it is: two addresses lead here, and one is enough. */
  function isDuplicate(identity: Identity, hello: PrivateHello): boolean {
    return (
      hello.attachedTo?.includes(options.nodeInstance) === true && byInstance.has(instanceKey({ identity, hello }))
    );
  }

  return {
    accept(link, certificate) {
      const read = readIdentity(certificate);
      if (read.status === "refused") return { refused: "mesh_identity_refused", detail: read.problem };
      let session: Session | undefined;
      const violate = (detail: string) => {
        events.refused("mesh_protocol_violated", link.peer, detail);
        link.destroy(detail);
      };
      const timer = setTimeout(() => violate(`no hello within ${helloTimeoutMs} ms`), helloTimeoutMs);
      return {
        received(message) {
          if (session === undefined) {
            clearTimeout(timer);
            if (message.type !== "hello") return violate("the first message is not a hello");
            if (message.hello.protocolVersion !== protocolVersion) {
              return violate(
                `protocol version ${message.hello.protocolVersion} is not spoken here, ${protocolVersion} is`,
              );
            }
            if (isDuplicate(read.identity, message.hello)) {
              return link.destroy("this process is attached here already, at another address", "duplicate");
            }
            session = attach(link, read.identity, message.hello);
            return;
          }
          if (!byId.has(session.id)) return;
          if (message.type === "hello") return violate("a second hello");
          if (message.type !== "pong") return events.received(session, message);
          pong(session, message.nonce);
        },
        closed(why) {
          clearTimeout(timer);
          if (session !== undefined) detach(session, why);
        },
      };
    },
    suspect(id) {
      const session = byId.get(id);
      if (session === undefined) return;
      // Told again where it is suspected already: a data plane that started since does not know.
      events.suspected(session);
      if (suspects.has(id)) return;
      ping(session);
      suspects.set(id, nonce);
    },
    check() {
      if (checkTimer !== undefined) return;
      for (const session of byId.values()) {
        ping(session);
        checked.set(session.id, nonce);
      }
      // Answers that are there and not read yet, because this process was held up again, have the round's turn first.
      checkTimer = setTimeout(() => setImmediate(endUnanswered), options.keepalive.timeoutMs);
      checkTimer.unref();
    },
    get: (id) => byId.get(id),
    all: () => byId.values(),
    get size() {
      return byId.size;
    },
    close() {
      clearInterval(pinging);
      clearTimeout(checkTimer);
      checked.clear();
    },
  };
}

function instanceKey({ identity, hello }: Pick<Session, "identity" | "hello">): string {
  return `${identity.text} ${hello.instance}`;
}
