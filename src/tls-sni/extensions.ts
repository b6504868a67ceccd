import type { HelloRejection } from "./rejection.js";
import { canonicalName } from "./server-name.js";

/** What the extensions of one hello have told so far. */
export interface ReadExtensions {
  serverName: string | undefined;
  alpn: string[];
  supportedVersions: number[];
  ech: "none" | "outer" | "inner";
  earlyData: boolean;
}

const serverNameType = 0;
const alpnType = 16;
const preSharedKeyType = 41;
const earlyDataType = 42;
const supportedVersionsType = 43;
const echType = 0xfe0d;

const hostNameType = 0;
const echOuter = 0;
const echInner = 1;

/**
 * The number of the hello in which each extension type was last seen: finds duplicates among 2^16 types in constant time,
 * without clearing or allocating anything for a hello.
 */
const lastSeen = new Uint32Array(0x1_0000);
let helloNumber = 0;

function countHello(): number {
  helloNumber++;
  if (helloNumber > 0xffff_ffff) {
    lastSeen.fill(0);
    helloNumber = 1;
  }
  return helloNumber;
}

/**
 * Reads the extensions in `message[at, end)` into `read` (RFC 8446 §4.2). Types that a router has no use for, GREASE
 * among them, are skipped, but none may come twice. Returns the reason where the hello must be rejected.
 */
export function readExtensions(
  message: Buffer,
  at: number,
  end: number,
  read: ReadExtensions,
): HelloRejection | undefined {
  const thisHello = countHello();
  let offset = at;
  while (offset < end) {
    if (offset + 4 > end) return "hello_malformed";
    const type = (message[offset]! << 8) | message[offset + 1]!;
    const from = offset + 4;
    const to = from + ((message[offset + 2]! << 8) | message[offset + 3]!);
    if (to > end) return "hello_malformed";
    if (lastSeen[type] === thisHello) return "hello_contradictory";
    lastSeen[type] = thisHello;
    const rejection = readExtension(message, type, from, to, read);
    if (rejection !== undefined) return rejection;
    // pre_shared_key must be the last one (RFC 8446 §4.2.11).
    if (type === preSharedKeyType && to !== end) return "hello_contradictory";
    offset = to;
  }
  return undefined;
}

function readExtension(
  message: Buffer,
  type: number,
  from: number,
  to: number,
  read: ReadExtensions,
): HelloRejection | undefined {
  switch (type) {
    case serverNameType:
      return readServerName(message, from, to, read);
    case alpnType:
      return readAlpn(message, from, to, read);
    case supportedVersionsType:
      return readSupportedVersions(message, from, to, read);
    case echType:
      return readEch(message, from, to, read);
    case earlyDataType:
      read.earlyData = true;
      return from === to ? undefined : "hello_malformed";
    default:
      return undefined;
  }
}

/**
 * RFC 6066 §3: a list that in practice, and in what OpenSSL and BoringSSL accept, is one host_name. A second one
 * contradicts the first; an entry of another type has a form that nobody has defined, so nothing behind it is certain.
 */
function readServerName(message: Buffer, from: number, to: number, read: ReadExtensions): HelloRejection | undefined {
  if (from + 5 > to || from + 2 + ((message[from]! << 8) | message[from + 1]!) !== to) return "hello_malformed";
  if (message[from + 2] !== hostNameType) return "hello_malformed";
  const nameStart = from + 5;
  const nameEnd = nameStart + ((message[from + 3]! << 8) | message[from + 4]!);
  if (nameEnd > to) return "hello_malformed";
  if (nameEnd < to) return message[nameEnd] === hostNameType ? "hello_contradictory" : "hello_malformed";
  const name = canonicalName(message.toString("latin1", nameStart, nameEnd));
  if (name === undefined) return "server_name_invalid";
  read.serverName = name;
  return undefined;
}

/** RFC 7301 §3.1: a list of one name or more, none of them empty. */
function readAlpn(message: Buffer, from: number, to: number, read: ReadExtensions): HelloRejection | undefined {
  if (from + 4 > to || from + 2 + ((message[from]! << 8) | message[from + 1]!) !== to) return "hello_malformed";
  let offset = from + 2;
  while (offset < to) {
    const length = message[offset]!;
    const start = offset + 1;
    offset = start + length;
    if (length === 0 || offset > to) return "hello_malformed";
    read.alpn.push(protocolName(message, start, offset));
  }
  return undefined;
}

/** The two names nearly every client offers are told without making a string. */
function protocolName(message: Buffer, start: number, end: number): string {
  const length = end - start;
  if (length === 2 && message[start] === 0x68 && message[start + 1] === 0x32) return "h2";
  if (length === http11.length && matchesAt(message, start, http11)) return "http/1.1";
  return message.toString("latin1", start, end);
}

const http11 = Buffer.from("http/1.1");

function matchesAt(message: Buffer, start: number, expected: Buffer): boolean {
  for (let i = 0; i < expected.length; i++) if (message[start + i] !== expected[i]) return false;
  return true;
}

/** RFC 8446 §4.2.1: one to 127 versions behind a length of one byte. */
function readSupportedVersions(
  message: Buffer,
  from: number,
  to: number,
  read: ReadExtensions,
): HelloRejection | undefined {
  const length = to - from - 1;
  if (length < 2 || length % 2 !== 0 || message[from] !== length) return "hello_malformed";
  for (let offset = from + 1; offset < to; offset += 2) {
    read.supportedVersions.push((message[offset]! << 8) | message[offset + 1]!);
  }
  return undefined;
}

/** RFC 9849 §5: an inner hello says only that it is one; an outer has a cipher suite, a config id, a key and the payload. */
function readEch(message: Buffer, from: number, to: number, read: ReadExtensions): HelloRejection | undefined {
  if (from === to) return "hello_malformed";
  if (message[from] === echInner) {
    read.ech = "inner";
    return from + 1 === to ? undefined : "hello_malformed";
  }
  if (message[from] !== echOuter) return "hello_malformed";
  const key = from + 1 + 4 + 1;
  if (key + 2 > to) return "hello_malformed";
  const payload = key + 2 + ((message[key]! << 8) | message[key + 1]!);
  if (payload + 2 > to) return "hello_malformed";
  const payloadBytes = (message[payload]! << 8) | message[payload + 1]!;
  if (payloadBytes === 0 || payload + 2 + payloadBytes !== to) return "hello_malformed";
  read.ech = "outer";
  return undefined;
}
