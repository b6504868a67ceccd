import { workerData } from "node:worker_threads";
import { createSharedTally } from "../../src/public/shared-tally.js";
import { keyBytes } from "./tallies.js";

/** What a thread of the test of shared tallies is to do. */
export interface TallyingTask {
  readonly table: SharedArrayBuffer;
  readonly worker: number;
  readonly keys: number;
  readonly rounds: number;
  /** No more than this of each key, all threads together. */
  readonly max: number;
  /** The most that there were of each key at once, written by all threads; then how many each thread left counted. */
  readonly live: SharedArrayBuffer;
  readonly most: SharedArrayBuffer;
}

// Enters and leaves as fast as it can, and ends with one of each key that it got counted.
const { table, worker, keys, rounds, max, live, most } = workerData as TallyingTask;
const tally = createSharedTally(table, worker);
const alive = new Int32Array(live);
const highest = new Int32Array(most);
const held: number[][] = Array.from({ length: keys }, () => []);
const names = Array.from({ length: keys }, (_, key) => keyBytes(key));
let random = worker + 1;

for (let round = 0; round < rounds; round += 1) {
  random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
  const key = (random >>> 8) % keys;
  if ((random >>> 24) % 2 === 0) enter(key);
  else leave(key);
}
for (let key = 0; key < keys; key += 1) {
  while (held[key]!.length > 1) leave(key);
}

function enter(key: number): void {
  const place = tally.enter(names[key]!, max);
  if (place === undefined) return;
  held[key]!.push(place);
  const now = Atomics.add(alive, key, 1) + 1;
  for (let seen = Atomics.load(highest, key); seen < now; seen = Atomics.load(highest, key)) {
    Atomics.compareExchange(highest, key, seen, now);
  }
}

function leave(key: number): void {
  const place = held[key]!.pop();
  if (place === undefined) return;
  // First here: what is still counted there must not be missing here, or there would seem to be more than the limit.
  Atomics.sub(alive, key, 1);
  tally.leave(place);
}
