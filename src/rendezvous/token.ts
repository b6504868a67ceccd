import { hash, randomFillSync } from "node:crypto";

/** 31 random bytes cannot be guessed, and one says which worker of the public proxy holds what the token stands for. */
export const tokenBytes = 32;

const randomBytesPerToken = tokenBytes - 1;
const tokensPerRefill = 128;

/** Asking the system for a whole block at once costs a tenth per token of asking for each. */
const block = Buffer.alloc(randomBytesPerToken * tokensPerRefill);
let used = block.length;

/** A new single-use token for the worker with this number (0-255). */
export function createToken(worker: number): Uint8Array {
  if (used === block.length) {
    randomFillSync(block);
    used = 0;
  }
  const token = new Uint8Array(tokenBytes);
  token[0] = worker;
  token.set(block.subarray(used, used + randomBytesPerToken), 1);
  // What has been given out is not kept: the memory of this process holds a token once.
  block.fill(0, used, used + randomBytesPerToken);
  used += randomBytesPerToken;
  return token;
}

/** The number of the worker that made the token. Says nothing about whether the token is valid. */
export function tokenWorker(token: Uint8Array): number {
  return token[0] ?? 0;
}

/**
 * For a message to another thread: with the token in memory of its own. Received tokens are views into all that was received
 * with them, and a clone would take that along.
 */
export function withOwnToken<T extends { readonly token: Uint8Array }>(message: T): T {
  return { ...message, token: new Uint8Array(message.token) };
}

/**
 * The SHA-256 of a token as the key of a map: 32 characters, one for each byte. Looking tokens up by digest keeps the
 * time a lookup takes from telling anything about the tokens that exist. Not for printing.
 */
export function tokenDigest(token: Uint8Array): string {
  return hash("sha256", token, "binary");
}
