import { ProxyError } from "../base/errors.js";
import { tokenBytes } from "./token.js";

/**
 * Offers in the wire format of proto/mesh.proto, written where they are made: a client costs one, and encoding it as
 * objects that travel between threads first costs several times its place on the wire. What is written here any protobuf
 * library reads.
 */
export interface OfferFields {
  readonly token: Uint8Array;
  readonly announcementId: number;
  readonly serverName: string | undefined;
  readonly alpn: readonly string[];
  readonly client: string;
  readonly msLeft: number;
  readonly connectionId: string;
}

/** A character for each byte (Latin-1): of all forms of bytes the one that threads pass on at the least cost. */
export type EncodedOffer = string;

/** What a client offers beyond this is left out: it may be tens of thousands of bytes, for a message that must stay small. */
const maxAlpnBytes = 512;

const lengthDelimited = 2;
const varintType = 0;
const tag = (field: number, type: number) => String.fromCharCode((field << 3) | type);

// FromPublic.offers, Offers.offers and the fields of Offer; `endpoint` is 0, the first, which is not written (proto3).
const fromPublicOffers = tag(3, lengthDelimited);
const offersOffer = tag(1, lengthDelimited);
const tokenHead = tag(1, lengthDelimited) + String.fromCharCode(tokenBytes);
const announcementIdTag = tag(2, varintType);
const serverNameTag = tag(3, lengthDelimited);
const alpnTag = tag(4, lengthDelimited);
const clientTag = tag(5, lengthDelimited);
const msLeftTag = tag(7, varintType);
const connectionIdTag = tag(8, lengthDelimited);

/** One entry of `Offers`. Throws `internal` for a token of another length than 32. */
export function encodeOffer(offer: OfferFields): EncodedOffer {
  const { token } = offer;
  if (token.length !== tokenBytes) throw new ProxyError("internal", `a token has ${tokenBytes} bytes`);
  const body =
    tokenHead +
    latin1(token) +
    number(announcementIdTag, offer.announcementId) +
    text(serverNameTag, offer.serverName ?? "") +
    alpnOf(offer.alpn) +
    text(clientTag, offer.client) +
    number(msLeftTag, offer.msLeft) +
    text(connectionIdTag, offer.connectionId);
  return offersOffer + varint(body.length) + body;
}

/** The token of an encoded offer: its first field. */
export function tokenOfOffer(encoded: EncodedOffer): Uint8Array {
  const at = encoded.indexOf(tokenHead, 2) + tokenHead.length;
  return Buffer.from(encoded.slice(at, at + tokenBytes), "latin1");
}

/** A whole message of the mesh (`FromPublic`) that carries them. */
export function encodeOffersMessage(offers: readonly EncodedOffer[]): Uint8Array {
  const body = offers.join("");
  return Buffer.from(fromPublicOffers + varint(body.length) + body, "latin1");
}

function alpnOf(protocols: readonly string[]): string {
  let encoded = "";
  for (const protocol of protocols) {
    const next = text(alpnTag, protocol);
    if (encoded.length + next.length > maxAlpnBytes) break;
    encoded += next;
  }
  return encoded;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** What is not ASCII becomes UTF-8, as protobuf wants its strings. Empty ones are left out (proto3). */
function text(tagText: string, value: string): string {
  if (value === "") return "";
  const bytes = isAscii(value) ? value : Buffer.from(value, "utf8").toString("latin1");
  return tagText + varint(bytes.length) + bytes;
}

function isAscii(value: string): boolean {
  for (let at = 0; at < value.length; at++) if (value.charCodeAt(at) > 127) return false;
  return true;
}

function number(tagText: string, value: number): string {
  return value === 0 ? "" : tagText + varint(value);
}

/** Base 128, least significant group first. */
function varint(value: number): string {
  let encoded = "";
  let rest = value >>> 0;
  while (rest > 127) {
    encoded += String.fromCharCode((rest & 127) | 128);
    rest >>>= 7;
  }
  return encoded + String.fromCharCode(rest);
}
