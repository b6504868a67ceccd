/** The Castagnoli polynomial, bit-reversed (RFC 3720 appendix B.4). node:zlib has the other CRC-32 only. */
const polynomial = 0x82f63b78;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit += 1) remainder = (remainder >>> 1) ^ (remainder & 1 ? polynomial : 0);
  return remainder;
});

/** The CRC-32C of `bytes`, those from `zeroFrom` up to `zeroTo` taken as zero: a checksum's own place counts so. */
export function crc32c(bytes: Uint8Array, zeroFrom = 0, zeroTo = 0): number {
  let remainder = 0xffffffff;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = at >= zeroFrom && at < zeroTo ? 0 : bytes[at]!;
    remainder = (remainder >>> 8) ^ table[(remainder ^ byte) & 0xff]!;
  }
  return (remainder ^ 0xffffffff) >>> 0;
}
