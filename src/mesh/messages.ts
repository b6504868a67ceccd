import type { ReasonCode } from "../base/reasons.js";

/** What travels on the mesh, in the words of the domain. protobuf types stay inside this folder. */

export const protocolVersion = 1;

export type DeclineReason = Extract<
  ReasonCode,
  | "target_unreachable"
  | "target_full"
  | "name_not_served"
  | "shutting_down"
  | "endpoint_refused"
  | "dial_back_failed"
  | "verdict_refused"
>;

export type FromPrivate =
  | { readonly type: "hello"; readonly hello: PrivateHello }
  | {
      readonly type: "announce";
      readonly announcementId: number;
      readonly names: readonly string[];
      readonly alpn: readonly string[];
      readonly weight: number;
      /** Clients go to the lowest number that can take them. */
      readonly priority: number;
    }
  | { readonly type: "withdraw"; readonly announcementId: number }
  | { readonly type: "offerReply"; readonly token: Uint8Array; readonly reason: DeclineReason }
  /** The client that came with this token waits for its target, and may for so long. */
  | { readonly type: "queued"; readonly token: Uint8Array; readonly msLeft: number }
  /** `maxAgeMs` 0: however old. */
  | {
      readonly type: "poolState";
      readonly idle: number;
      readonly wanted: number;
      readonly maxAgeMs: number;
      readonly renew: boolean;
    }
  | { readonly type: "pong"; readonly nonce: bigint }
  | { readonly type: "leaving" };

export type FromPublic =
  | { readonly type: "welcome"; readonly welcome: Welcome }
  | { readonly type: "announceResult"; readonly announcementId: number; readonly results: readonly NameResult[] }
  | { readonly type: "offers"; readonly offers: readonly Offer[] }
  /** The same, as the bytes of the whole message: offers are encoded where they are made. Only to be sent. */
  | { readonly type: "encoded"; readonly bytes: Uint8Array }
  | { readonly type: "cancelOffer"; readonly token: Uint8Array }
  | { readonly type: "poolGrant"; readonly tokens: readonly Uint8Array[]; readonly msLeft: number }
  | { readonly type: "ping"; readonly nonce: bigint }
  | { readonly type: "drain" };

export interface PrivateHello {
  readonly protocolVersion: number;
  readonly name: string;
  /** 16 bytes, as hexadecimal. */
  readonly instance: string;
  readonly softwareVersion: string;
  /** `nodeInstance` of every public proxy that it is attached to already. */
  readonly attachedTo?: readonly string[];
}

export interface Welcome {
  readonly protocolVersion: number;
  readonly nodeName: string;
  readonly sessionId: string;
  readonly rendezvousEndpoints: readonly string[];
  readonly unansweredOffers: number;
  readonly maxNames: number;
  /** How long a verdict may take; 0 where the public proxy does not say. */
  readonly attemptTimeoutMs: number;
  readonly softwareVersion: string;
  /** The public proxy's process: 16 bytes, as hexadecimal; empty where it does not say. */
  readonly nodeInstance?: string;
}

export type NameStatus = "accepted" | "denied" | "taken" | "full" | "invalid";

export interface NameResult {
  readonly name: string;
  readonly status: NameStatus;
  readonly detail: string;
}

export interface Offer {
  readonly token: Uint8Array;
  readonly announcementId: number;
  /** Undefined where the client sent none. */
  readonly serverName: string | undefined;
  readonly alpn: readonly string[];
  /** `ip:port` of the client. */
  readonly client: string;
  /** Index into `Welcome.rendezvousEndpoints`. */
  readonly endpoint: number;
  readonly msLeft: number;
  readonly connectionId: string;
}
