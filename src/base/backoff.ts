/** Exponential backoff with full jitter: each delay is uniform between `minMs` and a ceiling that doubles to `maxMs`. */
export interface Backoff {
  /** The next delay, in milliseconds. */
  next(): number;
  /** After success: the next failure starts from the bottom again. */
  reset(): void;
}

export function fullJitter(options: { minMs: number; maxMs: number; random?: () => number }): Backoff {
  const { minMs, maxMs, random = Math.random } = options;
  let ceiling = minMs;
  return {
    next() {
      ceiling = Math.min(maxMs, ceiling * 2);
      return minMs + random() * Math.max(0, ceiling - minMs);
    },
    reset() {
      ceiling = minMs;
    },
  };
}
