/** Who gets what, and what nobody was there for. */
export interface Dealt<T> {
  readonly dealt: ReadonlyMap<number, readonly T[]>;
  readonly left: readonly T[];
}

/**
 * Deals offers out among workers: each to its owner where it has one, else to the one with the fewest connections, equal ones
 * in turn. `live` says how many each worker has: undefined for one that is not there, which gets none.
 */
export type Deal<T> = (items: readonly T[], live: readonly (number | undefined)[]) => Dealt<T>;

export function createDeal<T>(ownerOf: (item: T) => number | undefined = () => undefined): Deal<T> {
  let next = 0;

  function fewest(loads: readonly (number | undefined)[]): number | undefined {
    let best: number | undefined;
    for (let step = 0; step < loads.length; step++) {
      const worker = (next + step) % loads.length;
      const load = loads[worker];
      if (load !== undefined && (best === undefined || load < loads[best]!)) best = worker;
    }
    return best;
  }

  return (items, live) => {
    const loads = [...live];
    const dealt = new Map<number, T[]>();
    const left: T[] = [];
    for (const item of items) {
      const owner = ownerOf(item);
      const worker = owner ?? fewest(loads);
      if (worker === undefined || loads[worker] === undefined) {
        left.push(item);
        continue;
      }
      if (owner === undefined) next = worker + 1;
      loads[worker]++;
      const before = dealt.get(worker);
      if (before === undefined) dealt.set(worker, [item]);
      else before.push(item);
    }
    return { dealt, left };
  };
}
