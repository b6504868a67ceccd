import { readdirSync, readFileSync } from "node:fs";

/** What a process has, from /proc. Throws where it is gone. */
export interface ProcessFigures {
  readonly descriptors: number;
  readonly rssMiB: number;
  readonly threads: number;
}

export function figuresOf(pid: number): ProcessFigures {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? Number.NaN);
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    rssMiB: Math.round(field("VmRSS") / 1024),
    threads: field("Threads"),
  };
}
