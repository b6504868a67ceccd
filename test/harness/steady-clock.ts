/** How often the clock goes on, and by how much. */
const tickMs = 250;

/**
 * A clock for judging others on a busy machine: it goes on by a quarter of a second at a time, however late this process
 * comes to it. Where the machine is short of time, the clock is slow as everybody else is, and nobody is accused of that.
 */
export interface SteadyClock {
  /** Milliseconds since it was started. */
  readonly now: number;
  /** Called after every tick, until the clock is stopped. */
  onTick(look: () => void): () => void;
  /** Resolves after so many of its own milliseconds. */
  pause(ms: number): Promise<void>;
  /** Asks until the answer is yes; false where that takes longer than `ms`. Never asks twice at once. */
  within(ms: number, ask: () => boolean | Promise<boolean>): Promise<boolean>;
  stop(): void;
}

export function startSteadyClock(): SteadyClock {
  const looking = new Set<() => void>();
  let now = 0;
  const timer = setInterval(() => {
    now += tickMs;
    for (const look of [...looking]) look();
  }, tickMs);

  function onTick(look: () => void): () => void {
    looking.add(look);
    return () => void looking.delete(look);
  }

  function pause(ms: number): Promise<void> {
    const until = now + ms;
    return new Promise((resolve) => {
      const stop = onTick(() => {
        if (now < until) return;
        stop();
        resolve();
      });
    });
  }

  return {
    get now() {
      return now;
    },
    onTick,
    pause,
    async within(ms, ask) {
      const until = now + ms;
      for (;;) {
        if (await ask()) return true;
        if (now >= until) return false;
        await pause(tickMs);
      }
    },
    stop: () => clearInterval(timer),
  };
}
