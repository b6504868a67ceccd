import { ProxyError } from "../base/errors.js";
import type { Attempt } from "./attempt.js";
import type { Announcer } from "./names.js";

/** Who was asked to serve one client in vain, and what that means for who is asked next. */
export class Asked {
  /** By session: what became of it. */
  #why: Map<string, string> | undefined;
  #silent = false;
  #full = true;
  #usePool = true;

  has(session: string): boolean {
    return this.#why?.has(session) === true;
  }

  /** Whether a parked dial-back will do. After one that failed the client is given to no other. */
  get usePool(): boolean {
    return this.#usePool;
  }

  note({ session: { session, name } }: Announcer, attempt: Exclude<Attempt, { status: "taken" }>): void {
    if (attempt.status === "stale") {
      // Its private proxy may be well, and may be asked again.
      this.#usePool = false;
      return;
    }
    this.#why ??= new Map();
    this.#why.set(session, `${name}: ${attempt.why}`);
    const isQueued = attempt.status === "queued";
    this.#silent ||= attempt.status !== "declined" && !isQueued;
    this.#full &&= isQueued || attempt.why === "target_full";
  }

  /** Why nobody is left to be asked: `nobody_answered`, `targets_full` or `all_declined`. */
  failure(): ProxyError {
    const isSilent = this.#silent || this.#why === undefined;
    return new ProxyError(
      isSilent ? "nobody_answered" : this.#full ? "targets_full" : "all_declined",
      [...(this.#why?.values() ?? [])].join(", "),
    );
  }
}
