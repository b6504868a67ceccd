import { ProxyError } from "../base/errors.js";
import { writeIpv4, writeIpv6 } from "../base/ip-bytes.js";
import type { ProxyHeaderFields, ProxyPeers } from "./proxy-header.js";
import {
  commandBytes,
  familyBytes,
  familyLayouts,
  fixedBytes,
  maxUniqueIdBytes,
  signature,
  tlvHeaderBytes,
  tlvTypes,
} from "./proxy-v2-layout.js";

/** Longer than any DNS name: what is longer was not checked by the caller. */
const maxServerNameBytes = 255;

/** Where addresses are read to, before it is known that a header can carry them. */
const scratch = new Uint8Array(36);

/**
 * A version 2 header, PROXY protocol section 2.2. `AF_UNSPEC` where the ends are not both IPv4 or both IPv6, or a text
 * is no address. One allocation: this runs once for every connection. Throws `internal` where a field is over its length.
 */
export function encodeProxyV2(fields: ProxyHeaderFields): Uint8Array {
  const { serverName, connectionId, announcementId } = fields;
  const nameBytes = serverName === undefined ? 0 : Buffer.byteLength(serverName);
  const idBytes = connectionId === undefined ? 0 : Buffer.byteLength(connectionId);
  if (nameBytes > maxServerNameBytes) throw new ProxyError("internal", "the server name is too long for a header");
  if (idBytes > maxUniqueIdBytes) throw new ProxyError("internal", "the connection id is too long for a header");

  const family = writeAddresses(fields);
  const { addressBytes } = familyLayouts.get(family)!;
  let length = fixedBytes + addressBytes;
  if (serverName !== undefined) length += tlvHeaderBytes + nameBytes;
  if (connectionId !== undefined) length += tlvHeaderBytes + idBytes;
  if (announcementId !== undefined) length += tlvHeaderBytes + 4;

  const bytes = Buffer.allocUnsafe(length);
  bytes.set(signature);
  bytes[12] = commandBytes.proxy;
  bytes[13] = family;
  bytes.writeUInt16BE(length - fixedBytes, 14);
  for (let at = 0; at < addressBytes; at += 1) bytes[fixedBytes + at] = scratch[at]!;

  let at = fixedBytes + addressBytes;
  if (serverName !== undefined) {
    at = writeTlvHeader(bytes, at, tlvTypes.authority, nameBytes);
    at += bytes.write(serverName, at);
  }
  if (connectionId !== undefined) {
    at = writeTlvHeader(bytes, at, tlvTypes.uniqueId, idBytes);
    if (typeof connectionId === "string") bytes.write(connectionId, at);
    else bytes.set(connectionId, at);
    at += idBytes;
  }
  if (announcementId !== undefined) {
    at = writeTlvHeader(bytes, at, tlvTypes.announcementId, 4);
    bytes.writeUInt32BE(announcementId, at);
  }
  return bytes;
}

/** A header of the sender's own connection, a health check: `LOCAL`, `AF_UNSPEC`, nothing else. Section 2.2. */
export const proxyV2Local: Uint8Array = Buffer.concat([
  signature,
  Uint8Array.of(commandBytes.local, familyBytes.unspec, 0, 0),
]);

/** Writes both addresses and ports to `scratch`; returns the family byte of what a header can carry. */
function writeAddresses({ source, destination }: ProxyPeers): number {
  if (source.family === "unix" || destination.family === "unix") return familyBytes.unspec;
  if (source.family !== destination.family) return familyBytes.unspec;
  const write = source.family === "ipv4" ? writeIpv4 : writeIpv6;
  const each = source.family === "ipv4" ? 4 : 16;
  if (!write(source.address, scratch, 0) || !write(destination.address, scratch, each)) return familyBytes.unspec;
  writePort(source.port, 2 * each);
  writePort(destination.port, 2 * each + 2);
  return familyBytes[source.family];
}

function writePort(port: number, at: number): void {
  scratch[at] = port >> 8;
  scratch[at + 1] = port & 0xff;
}

function writeTlvHeader(bytes: Buffer, at: number, type: number, length: number): number {
  bytes[at] = type;
  bytes[at + 1] = length >> 8;
  bytes[at + 2] = length & 0xff;
  return at + tlvHeaderBytes;
}
