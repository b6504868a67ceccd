import { type ReadExtensions, readExtensions } from "./extensions.js";
import { handshakeHeaderBytes } from "./records.js";
import type { HelloRejection } from "./rejection.js";

/** What a ClientHello says to a router. Nothing in it was verified: it is what the client claims. */
export interface ClientHello {
  /** The name of `server_name` in lower case, one trailing dot dropped; absent where the client sent none. */
  readonly serverName?: string | undefined;
  /** What the client offers, in its order of preference, one character per byte (Latin-1); GREASE included. */
  readonly alpn: string[];
  /** `legacy_version`: 0x0303 for TLS 1.2 and 1.3. */
  readonly legacyVersion: number;
  /** Of `supported_versions`, in the client's order, GREASE included; empty where the extension is absent. */
  readonly supportedVersions: number[];
  /** Whether the hello carries an encrypted one (real or GREASE: they cannot be told apart), or is one that was decrypted. */
  readonly ech: "none" | "outer" | "inner";
  /** The client may send 0-RTT data behind the hello. */
  readonly earlyData: boolean;
  /** How many records the hello came in. */
  readonly records: number;
  /** Bytes of the handshake message, its header of 4 included, record headers not. */
  readonly length: number;
}

const versionBytes = 2;
const randomBytes = 32;
const maxSessionIdBytes = 32;

/**
 * Reads the handshake message `message[start, end)`, whose header the record layer has checked (RFC 8446 §4.1.2; RFC
 * 5246 §7.4.1.2, where extensions may be missing). Every length must fit what holds it, to the byte. What it returns
 * holds no view of `message`.
 */
export function readClientHello(
  message: Buffer,
  start: number,
  end: number,
  records: number,
): ClientHello | HelloRejection {
  let at = start + handshakeHeaderBytes;
  if (at + versionBytes + randomBytes + 1 > end) return "hello_malformed";
  const legacyVersion = (message[at]! << 8) | message[at + 1]!;
  if (legacyVersion >> 8 !== 3) return "hello_malformed";
  at += versionBytes + randomBytes;

  const sessionIdBytes = message[at]!;
  at += 1 + sessionIdBytes;
  if (sessionIdBytes > maxSessionIdBytes || at + 2 > end) return "hello_malformed";

  const cipherSuiteBytes = (message[at]! << 8) | message[at + 1]!;
  at += 2 + cipherSuiteBytes;
  if (cipherSuiteBytes < 2 || cipherSuiteBytes % 2 !== 0 || at + 1 > end) return "hello_malformed";

  const compressionBytes = message[at]!;
  at += 1 + compressionBytes;
  if (compressionBytes < 1 || at > end) return "hello_malformed";

  const read: ReadExtensions = {
    serverName: undefined,
    alpn: [],
    supportedVersions: [],
    ech: "none",
    earlyData: false,
  };
  if (at < end) {
    if (at + 2 > end || at + 2 + ((message[at]! << 8) | message[at + 1]!) !== end) return "hello_malformed";
    const rejection = readExtensions(message, at + 2, end, read);
    if (rejection !== undefined) return rejection;
  }
  const { serverName, alpn, supportedVersions, ech, earlyData } = read;
  const length = end - start;
  return serverName === undefined
    ? { alpn, legacyVersion, supportedVersions, ech, earlyData, records, length }
    : { serverName, alpn, legacyVersion, supportedVersions, ech, earlyData, records, length };
}
