import { readFileSync } from "node:fs";
import { withDescendants } from "./cpu.js";

/** In KiB. */
export interface Memory {
  /** Pages in memory. */
  readonly rss: number;
  /** The same, pages shared with other processes counted by their share. */
  readonly pss: number;
}

/** What processes and all that descends from them have in memory, from /proc/PID/smaps_rollup. */
export function memoryOf(pids: readonly number[]): Memory {
  let rss = 0;
  let pss = 0;
  for (const pid of pids.flatMap(withDescendants)) {
    const one = parseSmapsRollup(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"));
    rss += one.rss;
    pss += one.pss;
  }
  return { rss, pss };
}

export function parseSmapsRollup(text: string): Memory {
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? Number.NaN);
  return { rss: field("Rss"), pss: field("Pss") };
}
