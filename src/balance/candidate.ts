import { hashText } from "./hash.js";

/** One of several that clients can be given to, and its place in the rotation. Made by `createCandidate` only. */
export interface Candidate {
  /** Its share beside the others: twice the weight, twice as many clients. Above zero. */
  readonly weight: number;
  /** Who it is, the same after a reconnect and a restart, so that `source-ip` finds its clients' server again. */
  readonly key: string;
  /** Tells apart those that bear the same key. */
  readonly tieKey: string;
  readonly keyHash: number;
  readonly tieHash: number;
  /** How much is due to it, in the same unit as the weight; the rotation keeps it (`rotation.ts`). */
  due: number;
}

/** Each starts at a place of its own, so that of many proxies that start together not all begin with the same one. */
export function createCandidate(options: {
  readonly weight: number;
  readonly key: string;
  readonly tieKey: string;
  readonly random?: () => number;
}): Candidate {
  const { weight, key, tieKey, random = Math.random } = options;
  return { weight, key, tieKey, keyHash: hashText(key), tieHash: hashText(tieKey), due: random() * weight };
}
