import type { Deadline, Now } from "../base/deadline.js";
import type { ReasonCode } from "../base/reasons.js";

/** Timers may ring so much too early, and settings say the same of one attempt and of all together. */
export const timerGrainMs = 5;

/**
 * By when an attempt must have its verdict. It moves when the private proxy says that the client stands in the queue of its
 * target, but never beyond what all attempts together may take.
 */
export class VerdictDeadline implements Deadline {
  at: number;
  readonly code: ReasonCode = "nobody_answered";
  /** Whether the private proxy has said that the client stands in a queue. */
  wasQueued = false;
  /** Whether the attempt had all the time that one may take: who is silent for less is not to blame. */
  readonly isWhole: boolean;
  readonly #overall: Deadline;
  readonly #now: Now;
  readonly #queued: (() => void) | undefined;

  /** `queued` is called when it is said for the first time that the client queues. */
  constructor(ms: number, overall: Deadline, now: Now, queued?: () => void) {
    const wanted = now() + ms;
    this.at = Math.min(wanted, overall.at);
    this.isWhole = this.at >= wanted - timerGrainMs;
    this.#overall = overall;
    this.#now = now;
    this.#queued = queued;
  }

  /** `ms` from now, where that is later than it was. */
  extend(ms: number): void {
    if (!this.wasQueued) this.#queued?.();
    this.wasQueued = true;
    this.at = Math.max(this.at, Math.min(this.#now() + ms, this.#overall.at));
  }

  get isOver(): boolean {
    return this.#now() >= this.at;
  }
}
