import type { Loads } from "./loads.js";

/** A worker gives new clients away when it has so many more than the least loaded one, */
const clearlyMore = 64;
/** and so many times as many. */
const clearlyTimes = 1.25;

/**
 * The system spreads new connections over the workers without regard to how many each has, so long-lived ones pile up.
 * Says to which worker a new client should rather go; undefined: it should stay. Looks at the board only.
 */
export function createRelief(options: {
  loads: Pick<Loads, "liveOf">;
  worker: number;
  workers: number;
  isThere: (worker: number) => boolean;
}): () => number | undefined {
  const { loads, worker, workers, isThere } = options;
  // Those that were given away are on nobody's board until they have arrived: a burst would all go to one.
  let target = -1;
  let targetLive = 0;
  let underWay = 0;

  return () => {
    const mine = loads.liveOf(worker);
    if (mine <= clearlyMore) return undefined;
    let least = worker;
    let leastLive = mine;
    for (let other = 0; other < workers; other++) {
      const live = loads.liveOf(other);
      if (live >= leastLive || !isThere(other)) continue;
      least = other;
      leastLive = live;
    }
    if (least !== target || leastLive !== targetLive) {
      target = least;
      targetLive = leastLive;
      underWay = 0;
    }
    const expected = leastLive + underWay;
    if (mine - expected <= clearlyMore || mine <= clearlyTimes * expected) return undefined;
    underWay++;
    return least;
  };
}
