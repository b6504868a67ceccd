import { choose } from "../balance/choose.js";
import type { BalanceMethod } from "../balance/method.js";
import type { SessionLoad } from "./loads.js";
import type { Announcer } from "./names.js";
import type { Outliers } from "./outliers.js";

/** Unanswered offers a session may have before it is passed over for an offer; who queues at a target has been answered that. */
export const maxUnansweredOffers = 1024;

/** Whom a client is to be offered to next. */
export type Next =
  | { readonly status: "announcer"; readonly announcer: Announcer }
  /** Nobody was asked: all have as much as they may have. */
  | { readonly status: "full" }
  | { readonly status: "nobody" };

export interface Question {
  /** Who serves the client's name. */
  readonly announcers: readonly Announcer[];
  /** Sessions that were asked already. */
  readonly tried: { has(session: string): boolean };
  readonly loadOf: (session: string) => Pick<SessionLoad, "spliced" | "unanswered" | "queued">;
  readonly maxPerPrivateProxy: number | undefined;
  readonly outliers: Pick<Outliers, "avoidance">;
  /** The session that another worker chose by the method; it is asked where it is among the best here too. */
  readonly chosen?: string | undefined;
  readonly method: BalanceMethod;
  /** The client's IP address; undefined where it has none. */
  readonly source: string | undefined;
}

/**
 * Of those who have not been asked and have room: those that have not failed lately, before those that have; of these
 * those with the lowest priority number; of these whom the method says.
 */
export function whomToAsk(question: Question): Next {
  const { announcers, tried, loadOf, outliers, chosen, method, source } = question;
  let best: Announcer[] = [];
  let asked = false;
  for (const announcer of announcers) {
    const { session } = announcer.session;
    if (tried.has(session)) asked = true;
    else if (hasRoom(loadOf(session), question)) {
      const order = best[0] === undefined ? -1 : compare(announcer, best[0], outliers);
      if (order < 0) best = [announcer];
      else if (order === 0) best.push(announcer);
    }
  }
  const announcer =
    best.find(({ session }) => session.session === chosen) ??
    choose({ method, among: best, loadOf: (one) => connectionsOf(loadOf(one.session.session)), source });
  if (announcer !== undefined) return { status: "announcer", announcer };
  return asked || announcers.length === 0 ? { status: "nobody" } : { status: "full" };
}

function hasRoom(
  load: ReturnType<Question["loadOf"]>,
  { maxPerPrivateProxy = Number.POSITIVE_INFINITY }: Question,
): boolean {
  // Those that queue at one target must not keep its private proxy's other targets from having clients.
  return load.unanswered - load.queued < maxUnansweredOffers && connectionsOf(load) < maxPerPrivateProxy;
}

function connectionsOf({ spliced, unanswered }: Pick<SessionLoad, "spliced" | "unanswered">): number {
  return spliced + unanswered;
}

/** Below zero where `a` comes before `b`. */
function compare(a: Announcer, b: Announcer, outliers: Pick<Outliers, "avoidance">): number {
  return outliers.avoidance(a) - outliers.avoidance(b) || a.priority - b.priority;
}
