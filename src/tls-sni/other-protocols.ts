import type { HelloRejection } from "./rejection.js";

const any = -1;
const highBitSet = -2;

/** The first bytes of what also comes to a TLS port. A negative entry stands for a set of bytes. */
const signatures: readonly { readonly reason: HelloRejection; readonly opening: readonly number[] }[] = [
  ...["GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "CONNECT ", "OPTIONS ", "TRACE ", "PATCH ", "PRI * HTTP/2"].map(
    (text) => ({ reason: "not_tls_http" as const, opening: [...Buffer.from(text)] }),
  ),
  { reason: "not_tls_ssh", opening: [...Buffer.from("SSH-")] },
  { reason: "not_tls_proxy_header", opening: [...Buffer.from("PROXY ")] },
  { reason: "not_tls_proxy_header", opening: [...Buffer.from("\r\n\r\n\0\r\nQUIT\n")] },
  // TPKT version 3, its length, the X.224 length, then Connection Request (MS-RDPBCGR §2.2.1.1).
  { reason: "not_tls_rdp", opening: [0x03, 0x00, any, any, any, 0xe0] },
  // A two-byte length with the high bit set, CLIENT-HELLO, a version (RFC 5246 §E.2).
  { reason: "not_tls_sslv2", opening: [highBitSet, any, 0x01, 0x03, any] },
  { reason: "not_tls_sslv2", opening: [highBitSet, any, 0x01, 0x00, 0x02] },
];

/**
 * Names what opens with these bytes and is not a TLS record. "more" while they may still become something with a name:
 * the answer depends on the bytes, never on how they were cut. Decides within 12 bytes.
 */
export function recogniseOther(bytes: Uint8Array, end: number): HelloRejection | "more" {
  let possible = false;
  for (const { reason, opening } of signatures) {
    const compared = Math.min(end, opening.length);
    if (!opensWith(bytes, compared, opening)) continue;
    if (compared === opening.length) return reason;
    possible = true;
  }
  return possible ? "more" : "not_tls";
}

function opensWith(bytes: Uint8Array, length: number, opening: readonly number[]): boolean {
  for (let i = 0; i < length; i++) {
    const expected = opening[i]!;
    if (expected >= 0 ? bytes[i] !== expected : expected === highBitSet && bytes[i]! < 0x80) return false;
  }
  return true;
}
