import { readdirSync, readFileSync } from "node:fs";

/** The kernel's clock ticks per second in /proc (USER_HZ): 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** The command stands in brackets and may itself hold brackets and spaces. proc(5): utime is field 14, stime 15. */
export function parseCpuTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** The process itself and all that descend from it. */
export function withDescendants(pid: number): number[] {
  const pids = [pid];
  for (const parent of pids) {
    for (const thread of entries(`/proc/${parent}/task`)) {
      const children = read(`/proc/${parent}/task/${thread}/children`).trim();
      if (children !== "") pids.push(...children.split(" ").map(Number));
    }
  }
  return pids;
}

/**
 * CPU seconds, user and system, that processes and all that descends from them have used so far, with all their threads,
 * also those that have ended. From utime and stime in /proc/PID/stat, so in steps of 10 ms. A process that is gone counts as
 * nothing.
 */
export function cpuSecondsOfAll(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids.flatMap(withDescendants)) {
    const stat = read(`/proc/${pid}/stat`);
    if (stat !== "") sum += parseCpuTicks(stat) / ticksPerSecond;
  }
  return sum;
}

/** CPU seconds that the whole machine has spent busy: all that is neither idle nor waiting for a disk. */
export function machineBusySeconds(): number {
  const [user, nice, system, , , irq, softirq, steal] = read("/proc/stat")
    .split("\n")[0]!
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user! + nice! + system! + irq! + softirq! + steal!) / ticksPerSecond;
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
