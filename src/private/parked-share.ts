/** Which worker has how many dial-backs parked, or on their way: for dealing out more, and for when one ends. */
export interface ParkedShare {
  /** Deals tokens out among the workers that are there, each to the one that has fewest. `left`: nobody is there. */
  deal<T>(
    session: string,
    tokens: readonly T[],
    isThere: (worker: number) => boolean,
  ): { readonly dealt: ReadonlyMap<number, readonly T[]>; readonly left: number };
  ended(worker: number, session: string, count: number): void;
  /** Returns what it had, by session. */
  died(worker: number): ReadonlyMap<string, number>;
  sessionGone(session: string): void;
}

export function createParkedShare(workers: number): ParkedShare {
  const bySession = Array.from({ length: workers }, () => new Map<string, number>());
  const total = bySession.map(() => 0);

  function fewest(isThere: (worker: number) => boolean): number | undefined {
    let best: number | undefined;
    for (let worker = 0; worker < workers; worker++) {
      if (isThere(worker) && (best === undefined || total[worker]! < total[best]!)) best = worker;
    }
    return best;
  }

  function add(worker: number, session: string, count: number): void {
    const sessions = bySession[worker]!;
    const next = (sessions.get(session) ?? 0) + count;
    if (next === 0) sessions.delete(session);
    else sessions.set(session, next);
    total[worker]! += count;
  }

  return {
    deal<T>(session: string, tokens: readonly T[], isThere: (worker: number) => boolean) {
      const dealt = new Map<number, T[]>();
      for (const token of tokens) {
        const worker = fewest(isThere);
        if (worker === undefined) return { dealt, left: tokens.length };
        add(worker, session, 1);
        dealt.set(worker, [...(dealt.get(worker) ?? []), token]);
      }
      return { dealt, left: 0 };
    },
    ended(worker, session, count) {
      // Of a session that is gone nothing is counted any more.
      if (bySession[worker]!.has(session)) add(worker, session, -count);
    },
    died(worker) {
      const had = bySession[worker]!;
      bySession[worker] = new Map();
      total[worker] = 0;
      return had;
    },
    sessionGone(session) {
      for (const [worker, sessions] of bySession.entries()) add(worker, session, -(sessions.get(session) ?? 0));
    },
  };
}
