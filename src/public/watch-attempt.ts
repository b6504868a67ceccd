import type { Now } from "../base/deadline.js";
import type { Attempt } from "./attempt.js";
import type { Announcer } from "./names.js";
import type { Outliers } from "./outliers.js";
import { timerGrainMs } from "./verdict-deadline.js";

/** What a private proxy says where it cannot serve this announcement now, but perhaps another one. */
const unableReasons: ReadonlySet<string> = new Set(["target_unreachable", "dial_back_failed", "endpoint_refused"]);

/** Makes the attempt, and resolves with what became of it, once it has been noted what that says about the private proxy. */
export type WatchAttempt = (
  client: { readonly gone: boolean },
  announcer: Announcer,
  attempt: () => Promise<Attempt>,
) => Promise<Attempt>;

/**
 * `patienceMs` is how long an attempt may take, where no queue is longer: a shorter silence is that of a client that could
 * not wait, or of a session that is gone, and says nothing. A target that is full and a private proxy that is stopping are
 * in order, and so is one of which a parked dial-back broke; where a client queued for as long as it could wait, others that
 * serve the same come first for a while. `suspect` is told of whoever was silent for all that time: it may hang.
 */
export function createWatchAttempt(options: {
  readonly now: Now;
  readonly patienceMs: () => number;
  readonly outliers: Outliers;
  readonly suspect: (session: string) => void;
}): WatchAttempt {
  const { now, patienceMs, outliers, suspect } = options;
  return async (client, announcer, attempt) => {
    const since = now();
    const outcome = await attempt();
    const { status } = outcome;
    if (status === "taken") outliers.succeeded(announcer);
    else if (client.gone) return outcome;
    else if (status === "queued") outliers.declined(announcer, since);
    else if (status === "declined") {
      if (unableReasons.has(outcome.why)) outliers.declined(announcer, since);
    } else if (now() - since >= patienceMs() - timerGrainMs) {
      outliers.failed(announcer, since);
      if (!outliers.isSuspect(announcer.session.session)) suspect(announcer.session.session);
    } else if (status === "lost") outliers.failed(announcer, since);
    return outcome;
  };
}
