import { type DecodedProxyHeader, malformed } from "./proxy-header.js";
import { decodeProxyV1 } from "./proxy-v1.js";
import { decodeProxyV2 } from "./proxy-v2-decode.js";
import { signature } from "./proxy-v2-layout.js";

/** More than an honest sender needs, a client certificate's names among the TLVs included. Section 2.2 allows 65551. */
export const defaultMaxHeaderBytes = 4096;

/**
 * Reads a PROXY header, version 2 or 1, from the start of all the bytes that have come so far. Malformed at the first
 * byte that cannot belong to one, so a stream that carries none is known at once. `maxBytes` bounds version 2; a line of
 * version 1 has at most 107 bytes.
 */
export function decodeProxyHeader(bytes: Uint8Array, options: { maxBytes?: number } = {}): DecodedProxyHeader {
  if (bytes[0] === undefined) return { status: "more" };
  if (bytes[0] === signature[0]) return decodeProxyV2(bytes, options.maxBytes ?? defaultMaxHeaderBytes);
  return bytes[0] === 0x50 ? decodeProxyV1(bytes) : malformed("neither a version 1 nor a version 2 header");
}

/** A connection id as a text for logs: as it is where it is plain ASCII, else its bytes in hexadecimal. */
export function connectionIdText(id: Uint8Array): string {
  const bytes = Buffer.from(id.buffer, id.byteOffset, id.byteLength);
  return bytes.every((byte) => byte > 0x20 && byte < 0x7f) ? bytes.toString("latin1") : bytes.toString("hex");
}
