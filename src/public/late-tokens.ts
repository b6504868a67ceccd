/** How long a dead token is remembered, so that a dial-back that comes too late is not taken for an attack. */
export const lateMs = 60_000;
const maxLate = 20_000;

/** Digests of tokens that died lately: the newest 20,000 of the last minute. */
export interface LateTokens {
  remember(digest: string): void;
  has(digest: string): boolean;
  clear(): void;
}

/** A ring in the order of death beside the map: looking for the oldest in the map itself costs more the more have gone. */
export function createLateTokens(now: () => number): LateTokens {
  const diedAt = new Map<string, number>();
  let ring: string[] = [];
  let oldest = 0;

  function forgetOldest(): void {
    diedAt.delete(ring[oldest]!);
    oldest = (oldest + 1) % maxLate;
  }

  return {
    remember(digest) {
      const past = now() - lateMs;
      while (diedAt.size > 0 && (diedAt.size >= maxLate || diedAt.get(ring[oldest]!)! <= past)) forgetOldest();
      ring[(oldest + diedAt.size) % maxLate] = digest;
      diedAt.set(digest, now());
    },
    has(digest) {
      const at = diedAt.get(digest);
      return at !== undefined && at > now() - lateMs;
    },
    clear() {
      diedAt.clear();
      ring = [];
      oldest = 0;
    },
  };
}
