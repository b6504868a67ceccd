import type { BalanceMethod } from "../balance/method.js";
import type { ReasonCode } from "../base/reasons.js";
import type { EncodedOffer } from "../rendezvous/offer-wire.js";
import type { Preface } from "../rendezvous/preface.js";
import type { EndpointAddress } from "../transport/endpoint.js";
import type { PassedEndpoint } from "../transport/epoll/boot.js";
import type { Terms } from "./terms.js";

/**
 * What control plane and data plane of a public proxy say to each other. Everything here survives a structured clone;
 * the data plane knows no gRPC and no settings file, only this.
 */

/** One attached private proxy process, as the data plane needs to know it. */
export interface SessionFacts {
  readonly session: string;
  readonly identity: string;
  /** For people. */
  readonly name: string;
  /** Its process: 16 bytes, as hexadecimal. */
  readonly instance: string;
  /** IP address it attached from. */
  readonly ip: string;
  /** Under which number its connections are counted over all workers; undefined when there are too many sessions for that. */
  readonly slot: number | undefined;
}

/** A name, or several, that a session serves. Patterns are canonical and granted. Other terms than before replace those. */
export interface AnnouncedNames extends Terms {
  readonly session: string;
  readonly announcementId: number;
  readonly patterns: readonly string[];
}

/** A pattern that somebody may announce, and how its clients are dealt out. */
export interface GrantedPattern {
  readonly pattern: string;
  readonly balance: BalanceMethod;
}

export interface PublicDataPlaneConfig {
  readonly helloTimeoutMs: number;
  readonly maxHelloBytes: number;
  /** Addresses and networks of load balancers, which send a PROXY header before all else. */
  readonly acceptProxyProtocol: readonly string[];
  readonly postgres: boolean;
  readonly prefaceTimeoutMs: number;
  readonly attemptTimeoutMs: number;
  readonly deadlineMs: number;
  readonly startupHoldMs: number;
  readonly idleTimeoutMs: number;
  readonly halfClosedTimeoutMs: number;
  readonly maxConnections: number;
  readonly maxParked: number;
  readonly maxHalfOpenHellos: number;
  /** Dial-backs that one session may keep parked, over all workers. */
  readonly maxPooledPerPrivateProxy: number;
  /** How long a client waits for a dial-back to be parked before it is offered; 0: not at all. */
  readonly pooledWaitMs: number;
  readonly maxPerClientAddress: number | undefined;
  readonly maxPerName: number | undefined;
  /** Connections and unanswered offers that a session may have at once; undefined: any number. */
  readonly maxPerPrivateProxy: number | undefined;
  /** Every pattern of every grant, each once: a name under none of them is refused without waiting for anybody. */
  readonly grantedPatterns: readonly GrantedPattern[];
  readonly reportConnections: boolean;
}

export type ToPublicDataPlane =
  | { readonly type: "configure"; readonly config: PublicDataPlaneConfig }
  | { readonly type: "attached"; readonly session: SessionFacts }
  | { readonly type: "announced"; readonly names: readonly AnnouncedNames[] }
  | {
      readonly type: "withdrawn";
      readonly session: string;
      readonly announcementId: number;
      readonly patterns: readonly string[];
    }
  /** `keep`: its live splices go on; `cut`: they end now. */
  | { readonly type: "sessionGone"; readonly session: string; readonly splices: "keep" | "cut" }
  /** The session goes on, but takes no more offers: its names are free at once. */
  | { readonly type: "sessionLeaving"; readonly session: string }
  | { readonly type: "declined"; readonly session: string; readonly token: Uint8Array; readonly reason: ReasonCode }
  /** The client that came with the token waits for its target. */
  | { readonly type: "queued"; readonly session: string; readonly token: Uint8Array; readonly msLeft: number }
  /** What the session asks for, over all workers; `maxAgeMs` 0: however old; `renew`: it has lost the tokens it was granted. */
  | {
      readonly type: "pool";
      readonly session: string;
      readonly wanted: number;
      readonly maxAgeMs: number;
      readonly renew: boolean;
    }
  /** It did not answer in time, and has been asked whether it is still there: avoid it until `answers` follows. */
  | { readonly type: "suspected"; readonly session: string }
  | { readonly type: "answers"; readonly session: string }
  /** To be answered with `marked` when all before it has been taken in. */
  | { readonly type: "mark"; readonly mark: number }
  /** A connection that came to another worker is yours from here on. */
  | { readonly type: "passed"; readonly passed: PassedEndpoint; readonly as: PassedAs }
  /** Accept clients and dial-backs, where that was held back at the start. */
  | { readonly type: "accept" }
  /** Stop accepting clients; `quiet` follows when none of those that were accepted waits for a dial-back. */
  | { readonly type: "quiesce" }
  /** Accept no dial-backs either, and park none; `deaf` follows at once. */
  | { readonly type: "deafen" }
  /** Stop accepting clients; `drained` follows when the last connection has ended. */
  | { readonly type: "drain" }
  /** Cut everything; `closed` follows. */
  | { readonly type: "close" };

/** What a connection is that one worker passes to another. */
export type PassedAs =
  /** Nothing was read of it. */
  | { readonly kind: "client" }
  /** Its hello was read, and put back. */
  | { readonly kind: "begun"; readonly begun: BegunConnection }
  | { readonly kind: "dialBack"; readonly preface: Preface };

/** A client connection that another worker has begun to serve. */
export interface BegunConnection {
  readonly id: string;
  /** Who was chosen to serve it: choosing again would deal its clients out otherwise than the method says. */
  readonly session: string;
  readonly source: EndpointAddress;
  readonly destination: EndpointAddress;
  /** Since it was accepted. */
  readonly ageMs: number;
}

/** One client connection, at its end. */
export interface ConnectionRecord {
  readonly connection: string;
  readonly serverName: string | undefined;
  readonly client: string;
  /** The private proxy that served it: its identity and its name. */
  readonly peer: string | undefined;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Who ended it, or why it was not served. */
  readonly endedBy: string;
  /** The code, where it was not served. */
  readonly refused: ReasonCode | undefined;
  /** What there is to say beyond the code: whom the client was offered to, say, and what each of them answered. */
  readonly detail: string | undefined;
  readonly ms: number;
}

export type FromPublicDataPlane =
  /** To be sent over the mesh. */
  | { readonly type: "offer"; readonly session: string; readonly offer: EncodedOffer }
  | { readonly type: "cancel"; readonly session: string; readonly token: Uint8Array }
  /** Tokens for the pool, to be sent over the mesh: 32 characters each (Latin-1). */
  | { readonly type: "grant"; readonly session: string; readonly tokens: string; readonly msLeft: number }
  /** A session did not answer in time: is it still there? */
  | { readonly type: "suspect"; readonly session: string }
  | { readonly type: "marked"; readonly mark: number }
  /** A connection for another worker, whose it is already. */
  | { readonly type: "pass"; readonly to: number; readonly passed: PassedEndpoint; readonly as: PassedAs }
  | { readonly type: "ended"; readonly record: ConnectionRecord }
  | { readonly type: "dialBackRefused"; readonly reason: ReasonCode; readonly peer: string }
  | {
      readonly type: "starved";
      readonly listener: string;
      readonly state: "paused" | "resumed";
      readonly detail: string;
    }
  | { readonly type: "fault"; readonly message: string }
  | { readonly type: "quiet" }
  | { readonly type: "deaf" }
  | { readonly type: "drained" }
  | { readonly type: "closed" };
