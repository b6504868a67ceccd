import type { Deadline, Now } from "../base/deadline.js";
import type { ReasonCode } from "../base/reasons.js";

/**
 * By when an attempt must have its verdict. It moves when the private proxy says that the client stands in the queue of its
 * target, but never beyond what all attempts together may take.
 */
export class VerdictDeadline implements Deadline {
  at: number;
  readonly code: ReasonCode = "nobody_answered";
  readonly #overall: Deadline;
  readonly #now: Now;

  constructor(ms: number, overall: Deadline, now: Now) {
    this.at = Math.min(now() + ms, overall.at);
    this.#overall = overall;
    this.#now = now;
  }

  /** `ms` from now, where that is later than it was. */
  extend(ms: number): void {
    this.at = Math.max(this.at, Math.min(this.#now() + ms, this.#overall.at));
  }

  get isOver(): boolean {
    return this.#now() >= this.at;
  }
}
