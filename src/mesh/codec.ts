import { ProxyError } from "../base/errors.js";
import type { EncodedMessage } from "./definition.js";
import type { Decline__Output } from "./generated/rendezvous/v1/Decline.js";
import type { FromPrivate__Output, FromPrivate as WireFromPrivate } from "./generated/rendezvous/v1/FromPrivate.js";
import type { FromPublic__Output, FromPublic as WireFromPublic } from "./generated/rendezvous/v1/FromPublic.js";
import type { Offer__Output } from "./generated/rendezvous/v1/Offer.js";
import type { DeclineReason, FromPrivate, FromPublic, NameStatus, Offer } from "./messages.js";

/**
 * Domain messages to protobuf and back. Decoding checks what protobuf cannot say (lengths, presence) and throws
 * `mesh_protocol_violated`; a member of the oneof that this version does not know decodes to undefined and is ignored.
 */

const instanceBytes = 16;
const sessionBytes = 16;
const tokenBytes = 32;
const maxNameLength = 255;
const maxTextLength = 1024;
/** More than a session may announce, so that every name gets its answer; less than would stop this process for long. */
const maxNames = 50_000;
const maxProtocols = 64;
const maxEndpoints = 64;
/** Public proxies that one process is attached to. */
export const maxAttachedTo = 256;
/** Beyond these a figure says no more than the bound does: nobody is refused for it. */
const maxWeight = 1000;
const maxPriority = 1000;
const maxPooled = 65_536;
/** Of one message. */
const maxGrantedTokens = 16_384;

const declineToWire = {
  target_unreachable: "DECLINE_TARGET_UNREACHABLE",
  target_full: "DECLINE_TARGET_FULL",
  name_not_served: "DECLINE_NAME_NOT_SERVED",
  shutting_down: "DECLINE_SHUTTING_DOWN",
  endpoint_refused: "DECLINE_ENDPOINT_REFUSED",
  dial_back_failed: "DECLINE_DIAL_BACK_FAILED",
  verdict_refused: "DECLINE_UNSPECIFIED",
} as const satisfies Record<DeclineReason, Decline__Output>;

const declineFromWire = new Map<string, DeclineReason>(
  Object.entries(declineToWire).map(([reason, wire]) => [wire, reason as DeclineReason]),
);

const statusToWire = {
  accepted: "ACCEPTED",
  denied: "DENIED",
  taken: "TAKEN",
  full: "FULL",
  invalid: "INVALID",
} as const satisfies Record<NameStatus, string>;

const statusFromWire = new Map<string, NameStatus>(
  Object.entries(statusToWire).map(([status, wire]) => [wire, status as NameStatus]),
);

export function encodeFromPrivate(message: FromPrivate): WireFromPrivate {
  switch (message.type) {
    case "hello":
      return {
        hello: {
          protocolVersion: message.hello.protocolVersion,
          name: message.hello.name,
          instanceId: Buffer.from(message.hello.instance, "hex"),
          softwareVersion: message.hello.softwareVersion,
          attachedTo: (message.hello.attachedTo ?? []).map((node) => Buffer.from(node, "hex")),
        },
      };
    case "announce":
      return {
        announce: {
          announcementId: message.announcementId,
          names: [...message.names],
          alpn: [...message.alpn],
          weight: message.weight,
          priority: message.priority,
        },
      };
    case "withdraw":
      return { withdraw: { announcementId: message.announcementId } };
    case "offerReply":
      return { offerReply: { token: message.token, reason: declineToWire[message.reason] } };
    case "queued":
      return { queued: { token: message.token, msLeft: message.msLeft } };
    case "poolState":
      return {
        poolState: { idle: message.idle, wanted: message.wanted, maxAgeMs: message.maxAgeMs, renew: message.renew },
      };
    case "pong":
      return { pong: { nonce: message.nonce.toString() } };
    case "leaving":
      return { leaving: {} };
  }
}

export function decodeFromPrivate(wire: FromPrivate__Output): FromPrivate | undefined {
  if (wire.hello) {
    const { protocolVersion, name, instanceId, softwareVersion, attachedTo } = wire.hello;
    return {
      type: "hello",
      hello: {
        protocolVersion,
        name: text(name, "hello.name"),
        instance: exactly(instanceId, instanceBytes, "hello.instance_id").toString("hex"),
        softwareVersion: text(softwareVersion, "hello.software_version"),
        attachedTo: atMost(attachedTo, maxAttachedTo, "hello.attached_to").map((node) =>
          exactly(node, instanceBytes, "hello.attached_to").toString("hex"),
        ),
      },
    };
  }
  if (wire.announce) {
    const { announcementId, names, alpn, weight, priority } = wire.announce;
    // Over-long names are cut, not refused here: each name gets its own result, and these will be `invalid`.
    return {
      type: "announce",
      announcementId,
      names: atMost(names, maxNames, "announce.names").map((name) => name.slice(0, maxNameLength)),
      alpn: atMost(alpn, maxProtocols, "announce.alpn").map((protocol) => text(protocol, "announce.alpn")),
      weight: weight === 0 ? 1 : Math.min(weight, maxWeight),
      priority: Math.min(priority, maxPriority),
    };
  }
  if (wire.withdraw) return { type: "withdraw", announcementId: wire.withdraw.announcementId };
  if (wire.offerReply) {
    return {
      type: "offerReply",
      token: exactly(wire.offerReply.token, tokenBytes, "offer_reply.token"),
      reason: declineFromWire.get(wire.offerReply.reason) ?? "verdict_refused",
    };
  }
  if (wire.queued) {
    return {
      type: "queued",
      token: exactly(wire.queued.token, tokenBytes, "queued.token"),
      msLeft: wire.queued.msLeft,
    };
  }
  if (wire.poolState) {
    const { idle, wanted, maxAgeMs, renew } = wire.poolState;
    return { type: "poolState", idle, wanted: Math.min(wanted, maxPooled), maxAgeMs, renew };
  }
  if (wire.pong) return { type: "pong", nonce: BigInt(wire.pong.nonce) };
  if (wire.leaving) return { type: "leaving" };
  return undefined;
}

export function encodeFromPublic(message: FromPublic): WireFromPublic | EncodedMessage {
  switch (message.type) {
    case "welcome": {
      const { welcome } = message;
      return {
        welcome: {
          protocolVersion: welcome.protocolVersion,
          nodeName: welcome.nodeName,
          sessionId: Buffer.from(welcome.sessionId, "hex"),
          rendezvousEndpoints: [...welcome.rendezvousEndpoints],
          limits: {
            unansweredOffers: welcome.unansweredOffers,
            names: welcome.maxNames,
            attemptTimeoutMs: welcome.attemptTimeoutMs,
          },
          softwareVersion: welcome.softwareVersion,
          nodeInstance: Buffer.from(welcome.nodeInstance ?? "", "hex"),
        },
      };
    }
    case "announceResult":
      return {
        announceResult: {
          announcementId: message.announcementId,
          results: message.results.map(({ name, status, detail }) => ({ name, status: statusToWire[status], detail })),
        },
      };
    case "offers":
      return {
        offers: {
          offers: message.offers.map((offer) => ({
            ...offer,
            alpn: [...offer.alpn],
            serverName: offer.serverName ?? "",
          })),
        },
      };
    case "encoded":
      return { encoded: message.bytes };
    case "cancelOffer":
      return { cancelOffer: { token: message.token } };
    case "poolGrant":
      return { poolGrant: { tokens: [...message.tokens], msLeft: message.msLeft } };
    case "ping":
      return { ping: { nonce: message.nonce.toString() } };
    case "drain":
      return { drain: {} };
  }
}

export function decodeFromPublic(wire: FromPublic__Output): FromPublic | undefined {
  if (wire.welcome) {
    const { welcome } = wire;
    return {
      type: "welcome",
      welcome: {
        protocolVersion: welcome.protocolVersion,
        nodeName: text(welcome.nodeName, "welcome.node_name"),
        sessionId: exactly(welcome.sessionId, sessionBytes, "welcome.session_id").toString("hex"),
        rendezvousEndpoints: atMost(welcome.rendezvousEndpoints, maxEndpoints, "welcome.rendezvous_endpoints").map(
          (endpoint) => text(endpoint, "welcome.rendezvous_endpoints"),
        ),
        unansweredOffers: welcome.limits?.unansweredOffers ?? 0,
        maxNames: welcome.limits?.names ?? 0,
        attemptTimeoutMs: welcome.limits?.attemptTimeoutMs ?? 0,
        softwareVersion: text(welcome.softwareVersion, "welcome.software_version"),
        nodeInstance:
          welcome.nodeInstance.length === 0
            ? ""
            : exactly(welcome.nodeInstance, instanceBytes, "welcome.node_instance").toString("hex"),
      },
    };
  }
  if (wire.announceResult) {
    return {
      type: "announceResult",
      announcementId: wire.announceResult.announcementId,
      results: wire.announceResult.results.map(({ name, status, detail }) => ({
        name: text(name, "announce_result.name"),
        status: statusFromWire.get(status) ?? "denied",
        detail: text(detail, "announce_result.detail"),
      })),
    };
  }
  if (wire.offers) return { type: "offers", offers: wire.offers.offers.map(decodeOffer) };
  if (wire.cancelOffer) {
    return { type: "cancelOffer", token: exactly(wire.cancelOffer.token, tokenBytes, "cancel_offer.token") };
  }
  if (wire.poolGrant) {
    const { tokens, msLeft } = wire.poolGrant;
    return {
      type: "poolGrant",
      tokens: atMost(tokens, maxGrantedTokens, "pool_grant.tokens").map((token) =>
        exactly(token, tokenBytes, "pool_grant.tokens"),
      ),
      msLeft,
    };
  }
  if (wire.ping) return { type: "ping", nonce: BigInt(wire.ping.nonce) };
  if (wire.drain) return { type: "drain" };
  return undefined;
}

function decodeOffer(offer: Offer__Output): Offer {
  return {
    token: exactly(offer.token, tokenBytes, "offer.token"),
    announcementId: offer.announcementId,
    serverName: offer.serverName === "" ? undefined : text(offer.serverName, "offer.server_name"),
    // What a client offers is its own affair: more than anybody could ask for is left out.
    alpn: offer.alpn.slice(0, maxProtocols).map((protocol) => protocol.slice(0, maxNameLength)),
    client: text(offer.client, "offer.client"),
    endpoint: offer.endpoint,
    msLeft: offer.msLeft,
    connectionId: text(offer.connectionId, "offer.connection_id"),
  };
}

function exactly(bytes: Buffer, length: number, field: string): Buffer {
  if (bytes.length === length) return bytes;
  throw new ProxyError("mesh_protocol_violated", `${field} has ${bytes.length} bytes, expected ${length}`);
}

/** Texts end up in logs and on terminals: control characters have no business there. */
function text(value: string, field: string): string {
  if (value.length > maxTextLength) {
    throw new ProxyError("mesh_protocol_violated", `${field} is longer than ${maxTextLength} characters`);
  }
  if (/\p{Cc}/u.test(value)) {
    throw new ProxyError("mesh_protocol_violated", `${field} holds control characters`);
  }
  return value;
}

function atMost<T>(items: readonly T[], max: number, field: string): readonly T[] {
  if (items.length <= max) return items;
  throw new ProxyError("mesh_protocol_violated", `${field} has ${items.length} entries, at most ${max} are allowed`);
}
