import { type ReasonCode, reason } from "../base/reasons.js";

const alertType = 21;
const fatal = 2;

/**
 * The record that tells a client why it is not served: a fatal alert of 7 bytes, version 3.3 as every TLS stack sends it
 * before a version is negotiated (RFC 8446 §5.1, §6). Undefined where the code has no alert: what did not speak TLS is
 * not answered in TLS. The bytes are the caller's.
 */
export function alertRecord(code: ReasonCode): Uint8Array | undefined {
  const { alert } = reason(code);
  return alert === undefined ? undefined : Uint8Array.of(alertType, 3, 3, 0, 2, fatal, alert);
}
