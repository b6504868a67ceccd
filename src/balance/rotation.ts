import type { Candidate } from "./candidate.js";

/**
 * Smooth weighted rotation, as nginx does it: at each turn everybody is due its weight more, and whoever is due most has
 * the turn and pays for all. Of 3:1 that makes A A B A, never A A A B. What is due stands with the candidates, so that
 * each turn may be among others: they may come and go.
 *
 * `mayHave` leaves some out of this turn without forgetting what is due to them; at least one must have it.
 */
export function nextInTurn<T extends { readonly candidate: Candidate }>(
  among: readonly T[],
  mayHave?: (at: number) => boolean,
): T | undefined {
  let next: T | undefined;
  let weights = 0;
  for (const [at, one] of among.entries()) {
    const { candidate } = one;
    weights += candidate.weight;
    candidate.due += candidate.weight;
    if (mayHave !== undefined && !mayHave(at)) continue;
    if (next === undefined || candidate.due > next.candidate.due) next = one;
  }
  if (next === undefined) return undefined;
  next.candidate.due -= weights;
  for (const { candidate } of among) candidate.due = within(candidate.due, weights);
  return next;
}

/** Whoever was left out for long must not have all turns afterwards. */
function within(due: number, bound: number): number {
  return Math.max(-bound, Math.min(bound, due));
}
