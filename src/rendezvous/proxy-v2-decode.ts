import { readIpv4, readIpv6 } from "../base/ip-bytes.js";
import { crc32c } from "./crc32c.js";
import { type DecodedProxyHeader, malformed, type ProxyAddress, type ProxyHeader } from "./proxy-header.js";
import {
  commandBytes,
  type FamilyLayout,
  familyLayouts,
  fixedBytes,
  maxUniqueIdBytes,
  signature,
  tlvHeaderBytes,
  tlvTypes,
} from "./proxy-v2-layout.js";

type Tlvs = Pick<ProxyHeader, "serverName" | "connectionId" | "announcementId">;
type Problem = { readonly problem: string };

/**
 * Reads a version 2 header from the start of `bytes`. Every byte is judged as soon as it is there; nothing of the result
 * points into `bytes`. PROXY protocol section 2.2.
 */
export function decodeProxyV2(bytes: Uint8Array, maxBytes: number): DecodedProxyHeader {
  const signed = Math.min(bytes.length, signature.length);
  for (let at = 0; at < signed; at += 1) if (bytes[at] !== signature[at]) return malformed("not a PROXY signature");
  const command = bytes[12];
  if (command === undefined) return { status: "more" };
  if (command !== commandBytes.local && command !== commandBytes.proxy) {
    return malformed("an unknown version or command");
  }
  const familyByte = bytes[13];
  if (familyByte === undefined) return { status: "more" };
  const layout = familyLayouts.get(familyByte);
  if (command === commandBytes.proxy && layout === undefined)
    return malformed("an unknown address family or transport");
  if (bytes.length < fixedBytes) return { status: "more" };
  const length = fixedBytes + uint16(bytes, 14);
  if (length > maxBytes) return malformed(`longer than ${maxBytes} bytes`);
  if (command === commandBytes.proxy && length < fixedBytes + layout!.addressBytes) {
    return malformed("too short for its addresses");
  }
  if (bytes.length < length) return { status: "more" };
  // What LOCAL carries is to be discarded, its family included.
  if (command === commandBytes.local) return { status: "header", header: { version: 2, command: "local" }, length };
  return decodeWhole(bytes.subarray(0, length), layout!);
}

function decodeWhole(bytes: Uint8Array, layout: FamilyLayout): DecodedProxyHeader {
  const tlvs = readTlvs(bytes, fixedBytes + layout.addressBytes);
  if ("problem" in tlvs) return malformed(tlvs.problem);
  const header: ProxyHeader = { version: 2, command: "proxy", ...readAddresses(bytes, layout), ...tlvs };
  return { status: "header", header, length: bytes.length };
}

function readAddresses(bytes: Uint8Array, { family }: FamilyLayout): Pick<ProxyHeader, "source" | "destination"> {
  if (family === undefined) return {};
  const read = family === "ipv4" ? readIpv4 : readIpv6;
  const each = family === "ipv4" ? 4 : 16;
  const end = (index: number): ProxyAddress => ({
    family,
    address: read(bytes, fixedBytes + index * each),
    port: uint16(bytes, fixedBytes + 2 * each + 2 * index),
  });
  return { source: end(0), destination: end(1) };
}

/** Walks the TLVs up to the end of the header; those of other types are skipped. */
function readTlvs(bytes: Uint8Array, start: number): Tlvs | Problem {
  const read: { -readonly [Field in keyof Tlvs]: Tlvs[Field] } = {};
  /** A bit for each known type. */
  let seen = 0;
  for (let at = start; at < bytes.length; ) {
    if (at + tlvHeaderBytes > bytes.length) return { problem: "a TLV is cut off" };
    const type = bytes[at]!;
    const from = at + tlvHeaderBytes;
    const to = from + uint16(bytes, at + 1);
    if (to > bytes.length) return { problem: "a TLV is cut off" };
    at = to;
    const known = knownTypes.indexOf(type);
    if (known === -1) continue;
    const bit = 1 << known;
    if (seen & bit) return { problem: "a TLV stands twice" };
    seen |= bit;
    if (type === tlvTypes.authority) {
      const serverName = readText(bytes.subarray(from, to));
      if (serverName === undefined) return { problem: "the server name is empty or not plain text" };
      read.serverName = serverName;
    } else if (type === tlvTypes.uniqueId) {
      if (to === from || to - from > maxUniqueIdBytes) return { problem: "the connection id has not 1 to 128 bytes" };
      read.connectionId = new Uint8Array(bytes.subarray(from, to));
    } else if (type === tlvTypes.crc32c) {
      if (to - from !== 4 || crc32c(bytes, from, to) !== uint32(bytes, from))
        return { problem: "the checksum is wrong" };
    } else if (to - from === 4) {
      // Others use 0xe0 for things of their own, in other lengths: a load balancer in front may have put it there.
      read.announcementId = uint32(bytes, from);
    }
  }
  return read;
}

const knownTypes: readonly number[] = Object.values(tlvTypes);
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 without control characters, or undefined. */
function readText(bytes: Uint8Array): string | undefined {
  if (isPlainAscii(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  try {
    const text = utf8.decode(bytes);
    return text === "" || /\p{Cc}/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** As server names are: the decoder costs more than the rest of the header together. */
function isPlainAscii(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte < 0x20 || byte > 0x7e) return false;
  return bytes.length > 0;
}

function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function uint32(bytes: Uint8Array, at: number): number {
  return ((uint16(bytes, at) << 16) | uint16(bytes, at + 2)) >>> 0;
}
