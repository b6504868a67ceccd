import { monotonic, type Now } from "./deadline.js";

const tickMs = 1000;
/** A tick that is later than this was no busy loop's: the process was stopped, the machine asleep, or the clock set. */
const lateMs = 3000;

/** Measures how long this process was away. To be asked every `tickMs`. */
export interface SuspensionMeter {
  /** Milliseconds by which this tick is late, by the clock that saw most of it; undefined where it is not. */
  tick(): number | undefined;
}

/**
 * Two clocks, because either may have stood still: the monotonic one does while a machine sleeps, the one on the wall is
 * set back now and then.
 */
export function suspensionMeter(now: Now = monotonic, wallNow: Now = Date.now): SuspensionMeter {
  let at = now();
  let wallAt = wallNow();
  return {
    tick() {
      const passed = Math.max(now() - at, wallNow() - wallAt);
      at = now();
      wallAt = wallNow();
      const late = passed - tickMs;
      return late > lateMs ? Math.round(late) : undefined;
    },
  };
}

/** Tells `noticed` after each suspension, in milliseconds; not of those shorter than a few seconds. Returns the way to stop. */
export function watchSuspension(noticed: (lateMs: number) => void): () => void {
  const meter = suspensionMeter();
  const timer = setInterval(() => {
    const late = meter.tick();
    if (late !== undefined) noticed(late);
  }, tickMs);
  timer.unref();
  return () => clearInterval(timer);
}
