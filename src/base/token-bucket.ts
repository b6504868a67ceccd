import { monotonic, type Now } from "./deadline.js";

/** A token bucket for every key (an address, say), in bounded memory: beyond `maxKeys` the longest untouched is forgotten. */
export interface TokenBuckets {
  /** Takes one token; false where the key has none left. */
  take(key: string): boolean;
  /** Whether the key has a token left, without taking it. */
  has(key: string): boolean;
  readonly size: number;
}

export function tokenBuckets(options: { perSecond: number; burst: number; maxKeys: number; now?: Now }): TokenBuckets {
  const { perSecond, burst, maxKeys, now = monotonic } = options;
  const buckets = new Map<string, { level: number; at: number }>();

  function levelOf(key: string): number {
    const bucket = buckets.get(key);
    return bucket === undefined ? burst : Math.min(burst, bucket.level + ((now() - bucket.at) / 1000) * perSecond);
  }

  return {
    take(key) {
      const level = levelOf(key);
      const allowed = level >= 1;
      buckets.delete(key);
      buckets.set(key, { level: allowed ? level - 1 : level, at: now() });
      if (buckets.size > maxKeys) buckets.delete(buckets.keys().next().value as string);
      return allowed;
    },
    has: (key) => levelOf(key) >= 1,
    get size() {
      return buckets.size;
    },
  };
}
