import { recogniseOther } from "./other-protocols.js";
import type { HelloRejection } from "./rejection.js";

/** Type, version and length before each fragment (RFC 8446 §5.1). */
export const recordHeaderBytes = 5;

/** Message type and length before the body of a handshake message (RFC 8446 §4). */
export const handshakeHeaderBytes = 4;

/** A plaintext fragment is at most 2^14 bytes (RFC 8446 §5.1). */
const maxFragmentBytes = 16_384;

const changeCipherSpecType = 20;
const handshakeType = 22;
const heartbeatType = 24;
const clientHelloType = 1;

/** How far a client's first records have been looked at. */
export interface RecordScan {
  /** Offset of the first byte that was not looked at yet. */
  at: number;
  /** Bytes of the current record's fragment from `at` on. */
  fragmentLeft: number;
  /** Bytes of the handshake message before `at`, its header included. */
  seen: number;
  /** The length of the handshake message, its header included; valid once `seen` has reached the header's end. */
  total: number;
  records: number;
}

export function startScan(): RecordScan {
  return { at: 0, fragmentLeft: 0, seen: 0, total: 0, records: 0 };
}

/**
 * Goes on with the records in `bytes[0, end)` until the first handshake message is whole, which must be a ClientHello
 * with nothing before it and nothing behind it in its last record (RFC 8446 §5.1: it may precede a key change). Looks at
 * headers only, so the cost is that of the records, not of the bytes; the answer does not depend on how they were cut.
 */
export function scanRecords(
  scan: RecordScan,
  bytes: Uint8Array,
  end: number,
  maxHelloBytes: number,
): "whole" | "more" | HelloRejection {
  for (;;) {
    if (scan.fragmentLeft === 0) {
      const header = readRecordHeader(scan, bytes, end);
      if (header !== "read") return header;
    }
    if (scan.seen < handshakeHeaderBytes) {
      const header = readHandshakeHeader(scan, bytes, end, maxHelloBytes);
      if (header === "next record") continue;
      if (header !== "read") return header;
    }
    const step = Math.min(scan.fragmentLeft, end - scan.at);
    scan.at += step;
    scan.seen += step;
    scan.fragmentLeft -= step;
    if (scan.seen === scan.total) return "whole";
    if (scan.fragmentLeft > 0) return "more";
  }
}

function readRecordHeader(scan: RecordScan, bytes: Uint8Array, end: number): "read" | "more" | HelloRejection {
  const { at } = scan;
  const available = end - at;
  if (available === 0) return "more";
  if (at === 0) {
    const opening = checkOpening(bytes, end);
    if (opening !== "tls") return opening;
  } else {
    // Handshake messages must not be interleaved with other record types.
    if (bytes[at] !== handshakeType) return "not_client_hello";
    if (available > 1 && bytes[at + 1] !== 3) return "hello_malformed";
  }
  if (available < recordHeaderBytes) return "more";
  const fragment = (bytes[at + 3]! << 8) | bytes[at + 4]!;
  if (fragment > maxFragmentBytes) return "record_too_long";
  // Empty handshake fragments are forbidden: with them a client could send for ever without getting anywhere.
  if (fragment === 0) return "hello_malformed";
  if (scan.seen >= handshakeHeaderBytes && scan.seen + fragment > scan.total) return "not_client_hello";
  scan.at = at + recordHeaderBytes;
  scan.fragmentLeft = fragment;
  scan.records++;
  return "read";
}

/** The minor version is ignored, as RFC 8446 §5.1 demands. */
function checkOpening(bytes: Uint8Array, end: number): "tls" | "more" | HelloRejection {
  const type = bytes[0]!;
  if (type < changeCipherSpecType || type > heartbeatType) return recogniseOther(bytes, end);
  if (end > 1 && bytes[1] !== 3) return "not_tls";
  if (type === handshakeType) return "tls";
  return end > 1 ? "not_client_hello" : "more";
}

/** Byte by byte: it may be spread over several records. */
function readHandshakeHeader(
  scan: RecordScan,
  bytes: Uint8Array,
  end: number,
  maxHelloBytes: number,
): "read" | "next record" | "more" | HelloRejection {
  while (scan.seen < handshakeHeaderBytes) {
    if (scan.fragmentLeft === 0) return "next record";
    if (scan.at === end) return "more";
    const byte = bytes[scan.at]!;
    if (scan.seen > 0) scan.total = scan.total * 256 + byte;
    else if (byte !== clientHelloType) return "not_client_hello";
    scan.at++;
    scan.seen++;
    scan.fragmentLeft--;
  }
  scan.total += handshakeHeaderBytes;
  if (!(scan.total <= maxHelloBytes)) return "hello_too_large";
  return scan.seen + scan.fragmentLeft > scan.total ? "not_client_hello" : "read";
}

/** Joining copies nothing that is kept, so all readers of a thread share one buffer; it grows to the largest hello seen. */
let joined = Buffer.alloc(0);

/**
 * The handshake message of a scan that is whole, without the record headers. The bytes are valid until the next call:
 * nothing read from them may be a view.
 */
export function joinFragments(scan: RecordScan, bytes: Uint8Array): Buffer {
  if (joined.length < scan.total) joined = Buffer.alloc(Math.max(scan.total, joined.length * 2));
  let to = 0;
  for (let at = 0; at < scan.at; ) {
    const fragment = (bytes[at + 3]! << 8) | bytes[at + 4]!;
    at += recordHeaderBytes;
    // For a handful of bytes a view costs more than the copy.
    if (fragment > 64) joined.set(bytes.subarray(at, at + fragment), to);
    else for (let i = 0; i < fragment; i++) joined[to + i] = bytes[at + i]!;
    at += fragment;
    to += fragment;
  }
  return joined;
}
