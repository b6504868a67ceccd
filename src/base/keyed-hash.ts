const state = new Int32Array(4);

/**
 * HalfSipHash-2-4 with 64 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF"): whoever does not know
 * the key cannot choose inputs whose outputs meet in a table. For tables, not for secrets: the key has 64 bits only.
 * `key` is two words, as are the 64 bits that are written to `into`.
 */
export function keyedHash(key: Int32Array, bytes: Uint8Array, into: Int32Array): void {
  const { length } = bytes;
  const whole = length & ~3;
  state[0] = key[0]!;
  state[1] = key[1]! ^ 0xee;
  state[2] = 0x6c796765 ^ key[0]!;
  state[3] = 0x74656462 ^ key[1]!;
  for (let at = 0; at < whole; at += 4) {
    absorb(bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
  }
  let last = length << 24;
  for (let at = whole; at < length; at += 1) last |= bytes[at]! << (8 * (at - whole));
  absorb(last);
  state[2]! ^= 0xee;
  rounds(4);
  into[0] = state[1]! ^ state[3]!;
  state[1]! ^= 0xdd;
  rounds(4);
  into[1] = state[1]! ^ state[3]!;
}

function absorb(word: number): void {
  state[3]! ^= word;
  rounds(2);
  state[0]! ^= word;
}

function rounds(count: number): void {
  let v0 = state[0]!;
  let v1 = state[1]!;
  let v2 = state[2]!;
  let v3 = state[3]!;
  for (let round = 0; round < count; round += 1) {
    v0 = (v0 + v1) | 0;
    v1 = rotated(v1, 5) ^ v0;
    v0 = rotated(v0, 16);
    v2 = (v2 + v3) | 0;
    v3 = rotated(v3, 8) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = rotated(v3, 7) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = rotated(v1, 13) ^ v2;
    v2 = rotated(v2, 16);
  }
  state[0] = v0;
  state[1] = v1;
  state[2] = v2;
  state[3] = v3;
}

function rotated(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}
