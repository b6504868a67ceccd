import type { BalanceMethod } from "../balance/method.js";
import type { ReasonCode } from "../base/reasons.js";
import type { PassedEndpoint } from "../transport/epoll/boot.js";
import type { ResolvedAddress } from "../transport/transport.js";
import type { ParkedClient } from "./parked-dial-backs.js";
import type { QueueLimits } from "./target-queue.js";

/**
 * What control plane and data plane of a private proxy say to each other. Everything here survives a structured clone;
 * the data plane knows no gRPC, no settings file and no DNS, only this.
 */

/** A target's cap, and which queue is before it. */
export interface TargetCap extends QueueLimits {
  /** Small numbers from 0. Who is at the target and who waits for it are counted under it. */
  readonly queueId: number;
}

/** Where the data plane sends the clients of one announcement. */
export interface TargetFacts {
  readonly announcementId: number;
  /** Canonical server-name patterns. */
  readonly patterns: readonly string[];
  /** All its addresses as the settings state them, for logs. */
  readonly address: string;
  readonly balance: BalanceMethod;
  readonly servers: readonly ServerFacts[];
  readonly proxyProtocol: "none" | "v1" | "v2";
  readonly startTls: "none" | "postgres";
  readonly connectTimeoutMs: number;
  /** Where there is one, or was. */
  readonly cap?: TargetCap;
}

/** One address of a target. */
export interface ServerFacts {
  /** As the settings state it. No two of a target are the same. */
  readonly address: string;
  /** Where its connections are counted over all workers; undefined where there was no place left. */
  readonly slot: number | undefined;
  /** Tried in turn. Empty: its name could not be looked up. */
  readonly resolved: readonly ResolvedAddress[];
  /** Whether it may have new clients. */
  readonly up: boolean;
}

export interface PrivateDataPlaneConfig {
  /** How old a public proxy lets a parked dial-back grow; 0: however old. */
  readonly pooledMaxAgeMs: number;
  readonly idleTimeoutMs: number;
  readonly halfClosedTimeoutMs: number;
  readonly reportConnections: boolean;
}

/** An offer as it came over the mesh, or as the PROXY header on a parked dial-back says it. */
export interface IncomingOffer {
  readonly token: Uint8Array;
  readonly announcementId: number;
  readonly serverName: string | undefined;
  readonly client: string;
  readonly endpoint: number;
  readonly msLeft: number;
  readonly connectionId: string;
}

export type ToPrivateDataPlane =
  | { readonly type: "configure"; readonly config: PrivateDataPlaneConfig }
  /** All targets: what is not in it is gone. */
  | { readonly type: "targets"; readonly targets: readonly TargetFacts[] }
  /**
   * A mesh session and where to dial back to: the addresses of each endpoint, in the order the public proxy gave; none of
   * one that is not allowed.
   */
  | {
      readonly type: "attached";
      readonly session: string;
      readonly publicProxy: string;
      readonly endpoints: readonly (readonly ResolvedAddress[])[];
      /** How long the public proxy waits for a verdict. */
      readonly attemptTimeoutMs: number;
    }
  | { readonly type: "detached"; readonly session: string }
  /** A parked dial-back whose client is for a target of yours is yours from here on. */
  | {
      readonly type: "passed";
      readonly passed: PassedEndpoint;
      readonly session: string;
      readonly client: ParkedClient;
    }
  /** Dial back and park, once with each token; every one is answered by `unparked`, sooner or later. */
  | { readonly type: "park"; readonly session: string; readonly tokens: readonly Uint8Array[] }
  | { readonly type: "offers"; readonly session: string; readonly offers: readonly IncomingOffer[] }
  | { readonly type: "cancel"; readonly token: Uint8Array }
  /** Decline every offer from now on; `drained` follows when the last connection has ended. */
  | { readonly type: "drain" }
  /** Cut everything; `closed` follows. */
  | { readonly type: "close" };

/** One connection, or one offer that did not become one, at its end. */
export interface RendezvousRecord {
  readonly connection: string;
  readonly serverName: string | undefined;
  readonly client: string;
  readonly publicProxy: string;
  readonly target: string | undefined;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly endedBy: string;
  readonly refused: ReasonCode | undefined;
  readonly detail: string | undefined;
  readonly ms: number;
}

/** What became of a dial-back that was to be parked: `failed` also where it was closed as soon as it was there. */
export type UnparkedHow = "used" | "closed" | "failed";

export type FromPrivateDataPlane =
  /** A dial-back for another worker, whose it is already. */
  | {
      readonly type: "pass";
      readonly to: number;
      readonly passed: PassedEndpoint;
      readonly session: string;
      readonly client: ParkedClient;
    }
  | {
      readonly type: "unparked";
      readonly session: string;
      readonly how: UnparkedHow;
      readonly count: number;
      /** Why it failed, for the log. */
      readonly detail: string | undefined;
    }
  | { readonly type: "declined"; readonly session: string; readonly token: Uint8Array; readonly reason: ReasonCode }
  /** The client that came with this token waits for its target, and may for so long. */
  | { readonly type: "queued"; readonly session: string; readonly token: Uint8Array; readonly msLeft: number }
  | { readonly type: "ended"; readonly record: RendezvousRecord }
  | { readonly type: "fault"; readonly message: string }
  | { readonly type: "drained" }
  | { readonly type: "closed" };
