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

/** How many times as many as the least loaded one, for its weight, somebody may have before it is passed over. */
const toleratedTimes = 2;
/** And so many of the lightest one's connections more: where there are few, chance alone makes large parts. */
const toleratedConnections = 2;

/**
 * Who is to have the next client; undefined where there is nobody.
 *
 * - `least-connections`: who has the fewest for its weight; of several such, whose turn it is.
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

/**
 * Among equal weights strictly. Unequal ones are there to be seen in the shares, and a light one, which has less to do, is
 * done sooner: strictly by connections it would get more than its weight says, and of clients that come one by one, each
 * finding the last one's server still busy, half. There the turns decide as long as nobody has twice as many for its weight as
 * another.
 */
function leastLoaded<T extends { readonly candidate: Candidate }>({ among, loadOf }: Choice<T>): T | undefined {
  let least = Number.POSITIVE_INFINITY;
  let lightest = Number.POSITIVE_INFINITY;
  let heaviest = 0;
  const loads = among.map((one) => {
    const load = loadOf(one);
    const { weight } = one.candidate;
    least = Math.min(least, (load + 1) / weight);
    lightest = Math.min(lightest, weight);
    heaviest = Math.max(heaviest, weight);
    return load / weight;
  });
  const most = lightest === heaviest ? least : least * toleratedTimes + toleratedConnections / lightest;
  return nextInTurn(among, (at) => loads[at]! < most);
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
