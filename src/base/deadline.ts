import type { ReasonCode } from "./reasons.js";

/** Milliseconds on a clock that never jumps. Tests pass their own. */
export type Now = () => number;

export const monotonic: Now = () => performance.now();

/** A point in time by which something must have happened, and the code of the error if it has not. */
export interface Deadline {
  /** Milliseconds on the monotonic clock. */
  readonly at: number;
  readonly code: ReasonCode;
}

export function deadlineIn(ms: number, code: ReasonCode, now: Now = monotonic): Deadline {
  return { at: now() + ms, code };
}

export function sooner(a: Deadline, b: Deadline): Deadline {
  return b.at < a.at ? b : a;
}

/** Milliseconds left, never below zero. */
export function msLeft(deadline: Deadline, now: Now = monotonic): number {
  return Math.max(0, deadline.at - now());
}

/** Resolves when `work` has settled or the time is over, whichever comes first; rejects only where `work` does before. */
export async function atMost(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}
