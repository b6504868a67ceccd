import type { Candidate } from "./candidate.js";
import { hashPair, hashSource } from "./hash.js";

/**
 * Who a client's address belongs to: weighted rendezvous hashing (highest random weight). Each key gets a score for the
 * address, by hashing, and the best has the client. So it needs no state, every process comes to the same, and when one
 * leaves, only its own clients move. Those of one key count as one, with the weight of the heaviest, and share its clients
 * among them in the same way by their tie keys: a key's clients are the same whoever stands behind it.
 */
export function ownerOf<T extends { readonly candidate: Candidate }>(among: readonly T[], ip: string): T | undefined {
  const source = hashSource(ip);
  const key = first(
    among,
    source,
    ({ keyHash }) => keyHash,
    ({ key }) => key,
  )?.candidate.key;
  const ofKey = among.filter(({ candidate }) => candidate.key === key);
  return first(
    ofKey,
    source,
    ({ tieHash }) => tieHash,
    ({ tieKey }) => tieKey,
  );
}

function first<T extends { readonly candidate: Candidate }>(
  among: readonly T[],
  source: number,
  hashOf: (candidate: Candidate) => number,
  keyOf: (candidate: Candidate) => string,
): T | undefined {
  let owner: T | undefined;
  let best = Number.POSITIVE_INFINITY;
  for (const one of among) {
    const { candidate } = one;
    const time = timeOf(hashOf(candidate), candidate.weight, source);
    // Where two come at the same time, it must not depend on who stands first in the list.
    const isBefore = time < best || (time === best && owner !== undefined && keyOf(candidate) < keyOf(owner.candidate));
    if (!isBefore && owner !== undefined) continue;
    owner = one;
    best = time;
  }
  return owner;
}

/** When it would come, were comings random and as frequent as its weight: the first has the client. */
function timeOf(hash: number, weight: number, source: number): number {
  return -Math.log((hashPair(hash, source) + 0.5) / 2 ** 32) / weight;
}
