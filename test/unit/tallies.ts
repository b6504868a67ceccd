import type { SharedTally } from "../../src/public/shared-tally.js";

/** How many of a key a tally sees, found as a user would find it. */
export function countOf(tally: SharedTally, key: Uint8Array): number {
  for (let max = 1; ; max += 1) {
    const place = tally.enter(key, max);
    if (place === undefined) continue;
    tally.leave(place);
    return max - 1;
  }
}

export function keyBytes(name: string | number): Uint8Array {
  return Buffer.from(`key ${name}`);
}
