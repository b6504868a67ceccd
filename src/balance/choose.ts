import type { Candidate } from "./candidate.js";
import type { BalanceMethod } from "./method.js";
import { nextInTurn } from "./rotation.js";
import { ownerOf } from "./source-ip.js";

export interface Choice<T extends { readonly candidate: Candidate }> {
  readonly method: BalanceMethod;
  readonly among: readonly T[];
  /** Connections that it has now, those on their way included. */
  readonly loadOf: (one: T) => number;
  /** The client's IP address; undefined where it has none (a unix socket), and `source-ip` chooses by connections then. */
  readonly source: string | undefined;
  readonly random?: () => number;
}

/**
 * Who is to have the next client; undefined where there is nobody.
 *
 * - `least-connections`: who has the fewest for its weight, and of those that are equal up to one connection, whose turn
 *   it is. Without that grain, clients that come one by one would find the one just used busy and go to the others,
 *   whatever the weights.
 * - `round-robin`: whose turn it is, by weight.
 * - `random-two`: of two, drawn by weight, the one with fewer connections for its weight.
 * - `source-ip`: whose the client's address is.
 */
export function choose<T extends { readonly candidate: Candidate }>(choice: Choice<T>): T | undefined {
  const { method, among, source } = choice;
  if (among.length < 2) return among[0];
  if (method === "round-robin") return nextInTurn(among);
  if (method === "random-two") return lighterOfTwo(choice);
  return method === "source-ip" && source !== undefined ? ownerOf(among, source) : leastLoaded(choice);
}

function leastLoaded<T extends { readonly candidate: Candidate }>({ among, loadOf }: Choice<T>): T | undefined {
  let soonestFull = Number.POSITIVE_INFINITY;
  const loads = among.map((one) => {
    const load = loadOf(one);
    const { weight } = one.candidate;
    soonestFull = Math.min(soonestFull, (load + 1) / weight);
    return load / weight;
  });
  return nextInTurn(among, (at) => loads[at]! < soonestFull);
}

function lighterOfTwo<T extends { readonly candidate: Candidate }>(choice: Choice<T>): T | undefined {
  const { among, loadOf, random = Math.random } = choice;
  const first = drawn(among, random);
  const second = drawn(
    among.filter((one) => one !== first),
    random,
  );
  const withOneMore = (loadOf(second) + 1) / second.candidate.weight;
  return loadOf(first) / first.candidate.weight < withOneMore ? first : second;
}

/** One of at least one, by weight. */
function drawn<T extends { readonly candidate: Candidate }>(among: readonly T[], random: () => number): T {
  let weights = 0;
  for (const { candidate } of among) weights += candidate.weight;
  let at = random() * weights;
  for (const one of among) {
    at -= one.candidate.weight;
    if (at < 0) return one;
  }
  return among[among.length - 1]!;
}
