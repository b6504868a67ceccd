import { isIPv4, isIPv6 } from "node:net";
import { withoutZone } from "../base/ip-bytes.js";
import { type DecodedProxyHeader, malformed, type ProxyAddress, type ProxyPeers } from "./proxy-header.js";

/** PROXY protocol section 2.1: the longest line, CRLF included. */
const maxLineBytes = 107;

const unknownLine = "PROXY UNKNOWN\r\n";
const beginnings = ["PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN ", unknownLine] as const;

/**
 * The header as one line of text, at most 107 bytes. `UNKNOWN` where the ends are not both IPv4 or both IPv6. Names and
 * ids have no place in version 1. PROXY protocol section 2.1.
 */
export function encodeProxyV1(peers: ProxyPeers): Uint8Array {
  return Buffer.from(line(peers), "latin1");
}

function line({ source, destination }: ProxyPeers): string {
  if (source.family === "unix" || destination.family === "unix") return unknownLine;
  if (source.family !== destination.family) return unknownLine;
  const isAddress = source.family === "ipv4" ? isIPv4 : isIPv6;
  const from = withoutZone(source.address);
  const to = withoutZone(destination.address);
  if (!isAddress(from) || !isAddress(to)) return unknownLine;
  return `PROXY ${source.family === "ipv4" ? "TCP4" : "TCP6"} ${from} ${to} ${source.port} ${destination.port}\r\n`;
}

/** Reads a version 1 line from the start of `bytes`. Strict: single spaces, CRLF, no leading zeros. */
export function decodeProxyV1(bytes: Uint8Array): DecodedProxyHeader {
  const seen = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, maxLineBytes)).toString("latin1");
  const beginning = beginnings.find((each) => seen.startsWith(each) || each.startsWith(seen));
  if (beginning === undefined) return malformed("not PROXY followed by TCP4, TCP6 or UNKNOWN");
  const end = seen.search(/[^\x20-\x7e]/);
  if (end === -1) {
    return bytes.length < maxLineBytes ? { status: "more" } : malformed("no line end within 107 bytes");
  }
  if (seen[end] !== "\r") return malformed("a byte that has no place in the line");
  if (end + 1 === maxLineBytes) return malformed("no line end within 107 bytes");
  if (end + 1 === seen.length) return { status: "more" };
  if (seen[end + 1] !== "\n") return malformed("CR without LF");
  return decodeLine(seen.slice(0, end), end + 2);
}

function decodeLine(text: string, length: number): DecodedProxyHeader {
  const [, protocol, from, to, fromPort, toPort, ...rest] = text.split(" ");
  // Section 2.1: whatever follows UNKNOWN must be ignored.
  if (protocol === "UNKNOWN") return { status: "header", header: { version: 1, command: "proxy" }, length };
  const family = protocol === "TCP4" ? "ipv4" : "ipv6";
  const source = readAddress(family, from, fromPort);
  const destination = readAddress(family, to, toPort);
  if (rest.length > 0) return malformed("more than two addresses and two ports");
  if (source === undefined || destination === undefined) return malformed("an address or a port that is none");
  return { status: "header", header: { version: 1, command: "proxy", source, destination }, length };
}

function readAddress(family: "ipv4" | "ipv6", address = "", port = ""): ProxyAddress | undefined {
  const valid = family === "ipv4" ? isIPv4(address) : isIPv6(address) && !address.includes("%");
  if (!valid || !/^(?:0|[1-9]\d{0,4})$/.test(port) || Number(port) > 65535) return undefined;
  return { family, address: address.toLowerCase(), port: Number(port) };
}
