import { readIpv4, readIpv6, withoutZone, writeIpv4, writeIpv6 } from "../../base/ip-bytes.js";
import type { EndpointAddress } from "../endpoint.js";
import type { ResolvedAddress } from "../transport.js";
import { afInet, afInet6, afUnix } from "./abi.js";

/** Large enough for every kind: struct sockaddr_un is the longest, with 110 bytes. */
export const socketAddressBytes = 112;

export interface SocketAddress {
  readonly family: number;
  /** In the system's form: family in the machine's order, the port in the network's. */
  readonly bytes: Uint8Array;
  readonly length: number;
}

/**
 * The system's form of an address (ip(7), ipv6(7), unix(7)); undefined where the text is no IP address. `interfaceIndex`
 * knows the zone of `fe80::1%eth0`. A unix path may have 107 bytes: whoever parses addresses has seen to that.
 */
export function encodeSocketAddress(
  address: ResolvedAddress,
  interfaceIndex: (name: string) => number = () => 0,
): SocketAddress | undefined {
  const bytes = new Uint8Array(socketAddressBytes);
  if (address.kind === "unix") {
    const path = Buffer.from(address.path);
    bytes[0] = afUnix;
    bytes.set(path, 2);
    return { family: afUnix, bytes, length: 2 + path.length + 1 };
  }
  const { ip, port } = address;
  bytes[2] = port >> 8;
  bytes[3] = port & 0xff;
  if (!ip.includes(":")) {
    bytes[0] = afInet;
    return writeIpv4(ip, bytes, 4) ? { family: afInet, bytes, length: 16 } : undefined;
  }
  bytes[0] = afInet6;
  if (!writeIpv6(ip, bytes, 8)) return undefined;
  const zone = ip.slice(withoutZone(ip).length + 1);
  if (zone !== "") new DataView(bytes.buffer).setUint32(24, interfaceIndex(zone), true);
  return { family: afInet6, bytes, length: 28 };
}

const mappedPrefix = "::ffff:";

/** Reads what the system wrote. An IPv4-mapped address (RFC 4291 §2.5.5.2) is IPv4. */
export function decodeSocketAddress(bytes: Uint8Array): EndpointAddress {
  const family = bytes[0]! | (bytes[1]! << 8);
  const port = (bytes[2]! << 8) | bytes[3]!;
  if (family === afInet) return { family: "ipv4", address: readIpv4(bytes, 4), port };
  if (family !== afInet6) return { family: "unix" };
  const address = readIpv6(bytes, 8);
  if (address.startsWith(mappedPrefix) && address.includes(".")) {
    return { family: "ipv4", address: address.slice(mappedPrefix.length), port };
  }
  return { family: "ipv6", address, port };
}
