import type { ReasonCode } from "../base/reasons.js";
import type { EncodedOffer } from "../rendezvous/offer-wire.js";
import type { PassedEndpoint } from "../transport/epoll/boot.js";

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
  /** IP address it attached from. */
  readonly ip: string;
  /** Under which number its connections are counted over all workers; undefined when there are too many sessions for that. */
  readonly slot: number | undefined;
}

/** A name, or several, that a session serves. Patterns are canonical and granted. */
export interface AnnouncedNames {
  readonly session: string;
  readonly announcementId: number;
  readonly patterns: readonly string[];
  readonly alpn: readonly string[];
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
  /** Every pattern of every grant: a name under none of them is refused without waiting for anybody. */
  readonly grantedPatterns: readonly string[];
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
  /** To be answered with `marked` when all before it has been taken in. */
  | { readonly type: "mark"; readonly mark: number }
  /** A connection that came to another worker is yours from here on. */
  | { readonly type: "passed"; readonly passed: PassedEndpoint; readonly as: PassedAs }
  /** Stop accepting clients; `drained` follows when the last connection has ended. */
  | { readonly type: "drain" }
  /** Cut everything; `closed` follows. */
  | { readonly type: "close" };

/** What a connection is that one worker passes to another: a client of which nothing was read, or a dial-back and its token. */
export type PassedAs = { readonly kind: "client" } | { readonly kind: "dialBack"; readonly token: Uint8Array };

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
  | { readonly type: "drained" }
  | { readonly type: "closed" };
