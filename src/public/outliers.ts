import type { Now } from "../base/deadline.js";
import type { SessionFacts } from "./messages.js";
import type { Announcer } from "./names.js";

/**
 * How long who failed is avoided: 1 s, which a client hardly notices where nobody else is left, then twice as long after
 * each further failure, up to 30 s, so that of the clients of a broken one hardly any is kept waiting by it.
 */
const firstPauseMs = 1000;
const longestPauseMs = 30_000;

/** How much somebody is to be avoided: the less, the sooner it is asked. All of them are asked where nobody else is left. */
export type Avoidance =
  /** Not at all. */
  | 0
  /** It failed lately. */
  | 1
  /** It did not answer in time, and has not answered since: whoever asks it will most likely wait in vain. */
  | 2;

/**
 * Who failed lately, as this data plane knows. What was silent or broke off is avoided as a whole, for all its names; what
 * could not reach a target, only for the announcement of that target. Each comes back by itself when its pause is over, one
 * that is suspected only when it also has answered.
 */
export interface Outliers {
  avoidance(announcer: Announcer): Avoidance;
  /** The private proxy was silent, or broke off, in an attempt that began at `since`. */
  failed(announcer: Announcer, since: number): void;
  /** It answered that it cannot serve this announcement now. */
  declined(announcer: Announcer, since: number): void;
  /** It took a client: nothing is held against it any more. */
  succeeded(announcer: Announcer): void;
  /** It did not answer in time. */
  suspected(session: string): void;
  /** It has answered since. */
  answers(session: string): void;
  isSuspect(session: string): boolean;
  sessionGone(session: string): void;
}

interface Pause {
  readonly from: number;
  readonly until: number;
  readonly ms: number;
}

export function createOutliers({ now }: { now: Now }): Outliers {
  const sessions = new WeakMap<SessionFacts, Pause>();
  /** What is announced anew, on other terms or by a new session, starts with a clean slate. */
  const announcements = new WeakMap<Announcer, Pause>();
  const suspects = new Set<string>();

  function isOver(pause: Pause | undefined): boolean {
    return pause === undefined || now() >= pause.until;
  }

  /** Undefined for an attempt that began before the last failure was known: it says nothing new. */
  function next(pause: Pause | undefined, since: number): Pause | undefined {
    if (pause !== undefined && since < pause.from) return undefined;
    const ms = pause === undefined ? firstPauseMs : Math.min(longestPauseMs, 2 * pause.ms);
    return { from: now(), until: now() + ms, ms };
  }

  return {
    avoidance(announcer) {
      if (suspects.has(announcer.session.session)) return 2;
      return isOver(sessions.get(announcer.session)) && isOver(announcements.get(announcer)) ? 0 : 1;
    },
    failed(announcer, since) {
      const pause = next(sessions.get(announcer.session), since);
      if (pause !== undefined) sessions.set(announcer.session, pause);
    },
    declined(announcer, since) {
      const pause = next(announcements.get(announcer), since);
      if (pause !== undefined) announcements.set(announcer, pause);
    },
    succeeded(announcer) {
      announcements.delete(announcer);
      sessions.delete(announcer.session);
      suspects.delete(announcer.session.session);
    },
    suspected: (session) => void suspects.add(session),
    answers: (session) => void suspects.delete(session),
    isSuspect: (session) => suspects.has(session),
    sessionGone: (session) => void suspects.delete(session),
  };
}
