import { writeIpv4, writeIpv6 } from "../base/ip-bytes.js";

// FNV-1a to take the bytes in, the finalizer of MurmurHash3 to spread them: without it keys that differ in their last
// character only would get scores that go together.

const fnvOffset = 0x811c9dc5;
const fnvPrime = 0x01000193;

/** 32 bits of a text, the same in every process and release: who is kept with whom depends on it. */
export function hashText(text: string): number {
  let hash = fnvOffset;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), fnvPrime);
  return spread(hash ^ text.length);
}

/**
 * 32 bits of where a client is: of an IPv4 address (IPv4-mapped ones as well), or of the /64 of an IPv6 address, for hosts
 * change the rest of it every day (RFC 8981). What is no IP address counts as the text it is.
 */
export function hashSource(ip: string): number {
  if (writeIpv4(ip, bytes, 12)) return hashWord(readWord(12));
  if (!ip.includes(":") || !writeIpv6(ip, bytes, 0)) return hashText(ip);
  const isMapped = readWord(0) === 0 && readWord(4) === 0 && readWord(8) === 0xffff;
  return isMapped ? hashWord(readWord(12)) : spread(hashWord(readWord(0)) ^ readWord(4));
}

/** 32 bits of both together: of one and the same `a` and many `b`, or the other way round, as if drawn by lot. */
export function hashPair(a: number, b: number): number {
  return spread(spread(a + Math.imul(b, 0x9e3779b1)) ^ b);
}

/** Only for the call under way. */
const bytes = new Uint8Array(16);

function readWord(at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

function hashWord(word: number): number {
  return spread(word ^ fnvOffset);
}

/** Each bit of the input changes half of the output's. */
function spread(hash: number): number {
  let mixed = hash;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
