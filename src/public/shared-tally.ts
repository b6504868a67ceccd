import { randomFillSync } from "node:crypto";
import { keyedHash } from "../base/keyed-hash.js";

/** A key may stand in any cell of its bucket. At most a third of the cells are meant to be used, so that buckets do not fill up. */
const cellsPerBucket = 16;
/** 12 MiB for a worker, where there are a million connections; pages that nobody touches take no memory. */
const mostBuckets = 65_536;

// The head: how many buckets a worker has, then the key of the fingerprints. A bucket: the counts, then either half of the
// fingerprints. Both are whole cache lines.
const bucketsAt = 0;
const keyAt = 1;
const headWords = 16;
const lowAt = cellsPerBucket;
const highAt = 2 * cellsPerBucket;
const bucketWords = 3 * cellsPerBucket;

/**
 * Room for counts of `keys` different keys in shared memory: a table for each worker, which alone writes it and which all
 * read. A key is known by a fingerprint of 64 bits; its secret is random, so that nobody can aim at a bucket or at
 * somebody else's count.
 */
export function createTallyTable(workers: number, keys: number): SharedArrayBuffer {
  const wanted = 2 ** Math.ceil(Math.log2((3 * keys) / cellsPerBucket));
  const buckets = Math.min(mostBuckets, Math.max(1, wanted));
  const words = headWords + workers * buckets * bucketWords;
  const table = new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT);
  const cells = new Int32Array(table);
  cells[bucketsAt] = buckets;
  cells.set(randomFillSync(new Int32Array(2)), keyAt);
  return table;
}

/** Counts a worker out that is not there any more. */
export function clearTally(table: SharedArrayBuffer, worker: number): void {
  const cells = new Int32Array(table);
  const rowWords = cells[bucketsAt]! * bucketWords;
  cells.fill(0, headWords + worker * rowWords, headWords + (worker + 1) * rowWords);
}

/** One worker's view of a table. */
export interface SharedTally {
  /**
   * Counts one more of `key` and returns its place, by which it leaves; undefined where all workers together have counted
   * `max` already. What others count may be a moment old, so that `max` can be passed by as many as there are workers.
   */
  enter(key: Uint8Array, max: number): number | undefined;
  leave(place: number): void;
}

/** Beginning with an empty table: what its worker had there before must have been cleared. */
export function createSharedTally(table: SharedArrayBuffer, worker: number): SharedTally {
  const cells = new Int32Array(table);
  const buckets = cells[bucketsAt]!;
  const rowWords = buckets * bucketWords;
  const key = cells.slice(keyAt, keyAt + 2);
  const fingerprint = new Int32Array(2);
  const overflow = createOverflow(cells.length);

  /** The cell of the count; -1 where there is none. The count is looked at last: one that is no more was just let go. */
  function find(bucket: number, low: number, high: number): number {
    for (let cell = bucket; cell < bucket + cellsPerBucket; cell += 1) {
      if (cells[cell + lowAt] === low && cells[cell + highAt] === high && cells[cell]! > 0) return cell;
    }
    return -1;
  }

  /** A reader that sees half of what is written here counts one too many or too few, for a moment. */
  function take(bucket: number, low: number, high: number): number {
    for (let cell = bucket; cell < bucket + cellsPerBucket; cell += 1) {
      if (cells[cell] !== 0) continue;
      cells[cell + lowAt] = low;
      cells[cell + highAt] = high;
      cells[cell] = 1;
      return cell;
    }
    return -1;
  }

  return {
    enter(keyBytes, max) {
      keyedHash(key, keyBytes, fingerprint);
      const low = fingerprint[0]!;
      const high = fingerprint[1]!;
      const inRow = headWords + (high & (buckets - 1)) * bucketWords;
      const own = inRow + worker * rowWords;
      let count = overflow.count(low, high);
      let place = -1;
      for (let bucket = inRow; bucket < cells.length; bucket += rowWords) {
        const cell = find(bucket, low, high);
        if (cell === -1) continue;
        count += cells[cell]!;
        if (bucket === own) place = cell;
      }
      if (count >= max) return undefined;
      if (place !== -1) {
        cells[place] = cells[place]! + 1;
        return place;
      }
      place = take(own, low, high);
      return place === -1 ? overflow.enter(low, high) : place;
    },
    leave(place) {
      if (place < cells.length) cells[place] = cells[place]! - 1;
      else overflow.leave(place);
    },
  };
}

/** What found its bucket full: counted by this worker alone, and seen by no other. Places begin at `firstPlace`. */
function createOverflow(firstPlace: number) {
  const counts = new Map<string, number>();
  const keys = new Map<number, string>();
  let next = firstPlace;
  return {
    count: (low: number, high: number) => (counts.size === 0 ? 0 : (counts.get(`${low} ${high}`) ?? 0)),
    enter(low: number, high: number): number {
      const key = `${low} ${high}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      keys.set(next, key);
      return next++;
    },
    leave(place: number): void {
      const key = keys.get(place)!;
      keys.delete(place);
      const left = counts.get(key)! - 1;
      if (left === 0) counts.delete(key);
      else counts.set(key, left);
    },
  };
}
