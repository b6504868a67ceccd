import type { Announcer } from "./names.js";

/** Unanswered offers and live connections a session may have in flight before it is passed over for an offer. */
export const maxUnansweredOffers = 1024;

/**
 * The announcer with the fewest connections, among sessions not yet tried; ties go to a random one of them. A session
 * with `maxUnansweredOffers` offers open is passed over. Undefined when nobody is left.
 */
export function leastConnections(
  announcers: readonly Announcer[],
  tried: { has(session: string): boolean },
  loadOf: (session: string) => { readonly spliced: number; readonly unanswered: number },
): Announcer | undefined {
  let best: Announcer | undefined;
  let bestLoad = Number.POSITIVE_INFINITY;
  let ties = 0;
  for (const announcer of announcers) {
    const { session } = announcer.session;
    if (tried.has(session)) continue;
    const { spliced, unanswered } = loadOf(session);
    if (unanswered >= maxUnansweredOffers) continue;
    const load = spliced + unanswered;
    if (load > bestLoad) continue;
    ties = load === bestLoad ? ties + 1 : 1;
    // Each of n equal ones is kept with probability 1/n.
    if (ties === 1 || Math.random() * ties < 1) best = announcer;
    bestLoad = load;
  }
  return best;
}
