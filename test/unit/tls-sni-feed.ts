import { createHelloReader, type HelloResult } from "../../src/tls-sni/index.js";

/**
 * Feeds a new reader in chunks of these sizes, the last one repeated, until it decides or the bytes end. Every chunk lies
 * in one buffer that is overwritten after the call, as the engines do.
 */
export function feed(bytes: Uint8Array, sizes: readonly number[], options?: { maxHelloBytes?: number }): HelloResult {
  const reader = createHelloReader(options);
  let result: HelloResult = { status: "more" };
  const reused = new Uint8Array(Math.max(1, bytes.length));
  for (let at = 0, i = 0; at < bytes.length && result.status === "more"; i++) {
    const size = sizes[Math.min(i, sizes.length - 1)] ?? bytes.length;
    const chunk = reused.subarray(0, Math.min(size, bytes.length - at));
    chunk.set(bytes.subarray(at, at + chunk.length));
    result = reader.push(chunk);
    reused.fill(0xee);
    at += size;
  }
  return result;
}

export const feedWhole = (bytes: Uint8Array, options?: { maxHelloBytes?: number }) =>
  feed(bytes, [bytes.length], options);
