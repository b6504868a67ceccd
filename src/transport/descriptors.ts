import { closeSync, openSync, readFileSync } from "node:fs";

/** How often a starved listener looks whether descriptors have become free. */
const probeMs = 250;

/** Watches that accepted connections leave some descriptors for everything else. */
export interface DescriptorGuard {
  /** Whether this new descriptor is one of the last: then no more should be taken. Tells `starved` once. */
  takesLast(descriptor: number): boolean;
  /** Accepting itself failed for want of descriptors. */
  failed(detail: string): void;
  close(): void;
}

type Starved = (state: "paused" | "resumed", detail: string) => void;

/**
 * The system gives out the lowest free descriptor, so a high number says that all below are taken: the check costs
 * nothing. The last numbers are kept for connections to be made, files and logs. Where the limit is not known (no /proc)
 * nothing is guarded.
 */
export function descriptorGuard(starved: Starved): DescriptorGuard {
  const limit = descriptorLimit();
  const reserve = Math.min(64, Math.max(4, Math.floor(limit / 16)));
  const mark = limit - reserve;
  let probe: NodeJS.Timeout | undefined;

  function pause(detail: string): void {
    if (probe !== undefined) return;
    starved("paused", detail);
    probe = setInterval(() => {
      if (freeBelow(mark, reserve)) resume();
    }, probeMs).unref();
  }

  function resume(): void {
    clearInterval(probe);
    probe = undefined;
    starved("resumed", `at least ${reserve} descriptors are free again`);
  }

  return {
    takesLast(descriptor) {
      if (descriptor < mark) return false;
      pause(`descriptor ${descriptor} of ${limit}: the last ${reserve} are kept for what is under way`);
      return true;
    },
    failed: pause,
    close: () => clearInterval(probe),
  };
}

/** The process's soft limit of descriptors; infinite where it is not known. */
export function descriptorLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Whether `count` descriptors can be opened with numbers below `mark`. More than one, so that the state does not flap. */
function freeBelow(mark: number, count: number): boolean {
  const opened: number[] = [];
  try {
    while (opened.length < count) {
      const number = openSync("/dev/null", "r");
      opened.push(number);
      if (number >= mark) return false;
    }
    return true;
  } catch {
    return false;
  } finally {
    for (const number of opened) closeSync(number);
  }
}
