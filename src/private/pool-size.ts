/** What the settings allow at one public proxy. */
export interface PoolBounds {
  readonly minIdle: number;
  readonly maxIdle: number;
}

/** How many dial-backs one session should have parked. It follows demand between the bounds. */
export interface PoolSize {
  readonly wanted: number;
  /** A client came and none was parked. */
  missed(): void;
  /** So many are left after one was used. */
  left(idle: number): void;
  /** A period is over: half of what nobody used in it is given up. */
  periodOver(idle: number): void;
  configure(bounds: PoolBounds): void;
}

export function createPoolSize(initial: PoolBounds): PoolSize {
  let bounds = initial;
  let wanted = bounds.minIdle;
  /** The fewest that lay idle in this period: so many would not have been missed. */
  let lowest = Number.POSITIVE_INFINITY;

  function set(next: number): void {
    wanted = Math.min(bounds.maxIdle, Math.max(bounds.minIdle, next));
  }

  return {
    get wanted() {
      return wanted;
    },
    missed() {
      lowest = 0;
      set(wanted + 1);
    },
    left(idle) {
      lowest = Math.min(lowest, idle);
    },
    periodOver(idle) {
      set(wanted - Math.ceil(Math.min(lowest, idle) / 2));
      lowest = Number.POSITIVE_INFINITY;
    },
    configure(next) {
      bounds = next;
      set(wanted);
    },
  };
}
