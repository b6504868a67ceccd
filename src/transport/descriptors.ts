import { closeSync, openSync, readFileSync } from "node:fs";

/** How often a starved listener looks whether there is room again: this, or longer where it was starved a moment before. */
const probeMs = 250;
const maxProbeMs = 1000;
/** It is told that accepting goes on when it has gone on for so long: at its limit a proxy pauses for every few clients. */
const settledMs = 1000;

/** What must be raised where the system refuses with one of these (accept(2), socket(2), connect(2), pipe(2)). */
const remedies = {
  EMFILE: "raise the process's limit of descriptors (ulimit -n, LimitNOFILE)",
  ENFILE: "raise the system's limit of descriptors (sysctl fs.file-max)",
  ENOMEM: "raise the memory that the system, or the process's control group (MemoryMax), has",
  ENOBUFS: "raise the memory for sockets (sysctl net.ipv4.tcp_mem, net.core.optmem_max)",
} as const;

/** Whether an error of the system says that it has no room: no descriptor, or no memory for one. */
export function isShortage(errorName: string | undefined): errorName is keyof typeof remedies {
  return errorName !== undefined && Object.hasOwn(remedies, errorName);
}

/** Watches that accepted connections leave some descriptors for everything else. */
export interface DescriptorGuard {
  /** Whether this new descriptor is one of the last: then no more should be taken. */
  takesLast(descriptor: number): boolean;
  /** Accepting itself failed; the system's name for why, where there is one. */
  failed(detail: string, errorName?: string): void;
  close(): void;
}

export interface DescriptorGuardOptions {
  /** Told once when accepting pauses, and once when it has gone on for a while. */
  readonly starved: (state: "paused" | "resumed", detail: string) => void;
  /** Stops accepting, or goes on. False where it cannot go on: it is asked again later. */
  readonly gate?: (open: boolean) => boolean;
  /** See `ListenOptions.owes`. */
  readonly owes?: (() => number) | undefined;
}

/**
 * The system gives out the lowest free descriptor, so a high number says that all below are taken: the check costs
 * nothing. The last numbers are kept for connections to be made, files and logs. Where the limit is not known (no /proc)
 * nothing is guarded.
 */
export function descriptorGuard({
  starved,
  gate = () => true,
  owes = () => 0,
}: DescriptorGuardOptions): DescriptorGuard {
  const limit = descriptorLimit();
  const reserve = Math.min(64, Math.max(4, Math.floor(limit / 16)));
  const mark = limit - reserve;
  let probe: NodeJS.Timeout | undefined;
  let pauseMs = probeMs;
  /** Accepting goes on, and nobody has been told yet. */
  let settling: NodeJS.Timeout | undefined;

  function pause(detail: string): void {
    if (probe !== undefined) return;
    gate(false);
    if (settling === undefined) {
      pauseMs = probeMs;
      starved("paused", detail);
    } else {
      clearTimeout(settling);
      settling = undefined;
      pauseMs = Math.min(2 * pauseMs, maxProbeMs);
    }
    look();
  }

  function look(): void {
    probe = setTimeout(() => {
      if (freeBelow(mark - owes(), reserve) && gate(true)) resume();
      else look();
    }, pauseMs).unref();
  }

  function resume(): void {
    probe = undefined;
    settling = setTimeout(() => {
      settling = undefined;
      starved("resumed", `at least ${reserve} descriptors are free again`);
    }, settledMs).unref();
  }

  return {
    takesLast(descriptor) {
      const owed = owes();
      if (descriptor + owed < mark) return false;
      pause(
        `descriptor ${descriptor} of ${limit}: the last ${reserve + owed} are kept for what is under way; ${remedies.EMFILE}`,
      );
      return true;
    },
    failed(detail, errorName) {
      pause(isShortage(errorName) ? `${detail}; ${remedies[errorName]}` : detail);
    },
    close() {
      clearTimeout(probe);
      clearTimeout(settling);
    },
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
