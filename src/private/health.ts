/** How an address of a target is checked, as the settings state it. */
export interface HealthCheck {
  readonly type: "tcp" | "tls";
  /** From the beginning of one check to that of the next. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Good checks in a row after which an address that was down is up. */
  readonly rise: number;
  /** Failed checks in a row after which an address that was up is down. */
  readonly fall: number;
}

/** What one check has shown. */
export type ProbeResult = { readonly status: "passed" } | { readonly status: "failed"; readonly why: string };

/** What is known of an address. */
export type Health =
  | { readonly state: "unchecked" }
  /** `failed`: checks in a row, up to now. */
  | { readonly state: "up"; readonly failed: number }
  /** `passed`: the same; `why`: what the last check that failed has met. */
  | { readonly state: "down"; readonly passed: number; readonly why: string };

export const unchecked: Health = { state: "unchecked" };

/** What is known after one more check. The first one decides by itself: nobody could say anything before it. */
export function judge(health: Health, result: ProbeResult, { rise, fall }: Pick<HealthCheck, "rise" | "fall">): Health {
  const up: Health = { state: "up", failed: 0 };
  if (result.status === "passed") {
    if (health.state !== "down") return up;
    const passed = health.passed + 1;
    return passed >= rise ? up : { ...health, passed };
  }
  const down: Health = { state: "down", passed: 0, why: result.why };
  if (health.state !== "up") return down;
  const failed = health.failed + 1;
  return failed >= fall ? down : { state: "up", failed };
}

/** One check under way. */
export interface Probe {
  /** Never rejects, and takes no longer than the check's `timeoutMs`. */
  readonly result: Promise<ProbeResult>;
  /** Nobody wants the result any more. */
  cancel(): void;
}

export interface WatchOptions {
  readonly check: HealthCheck;
  readonly probe: () => Probe;
  /** Whether an address that is up is to be left alone this time: then it stays up. */
  readonly isBusy?: () => boolean;
  /** Up, or down, and another one than before. */
  readonly changed: (health: Health) => void;
  readonly now: () => number;
  /** Calls `ring` once, in so many milliseconds; returns the cancel. */
  readonly after: (ms: number, ring: () => void) => () => void;
  /** 0 to 1, 1 excluded. */
  readonly random: () => number;
}

/** Checks of one address, never two of them at once, until it is stopped. */
export interface Watch {
  readonly health: Health;
  /** Also gives up the check that is under way. */
  stop(): void;
}

/** The first check is what an announcement waits for: it is put off by no more than this. */
const firstWithinMs = 200;

/**
 * Begins within a moment of its own, and makes the pause after the first check another one: of many addresses that are
 * watched from the same instant on, each is checked at its own time.
 */
export function watchHealth({ check, probe, isBusy, changed, now, after, random }: WatchOptions): Watch {
  let health = unchecked;
  let current: Probe | undefined;
  let stopped = false;

  async function run(pauseMs: number): Promise<void> {
    if (health.state === "up" && isBusy?.() === true) {
      cancel = after(check.intervalMs, () => void run(check.intervalMs));
      return;
    }
    const begunAt = now();
    current = probe();
    const result = await current.result;
    current = undefined;
    if (stopped) return;
    cancel = after(Math.max(0, begunAt + pauseMs - now()), () => void run(check.intervalMs));
    const before = health.state;
    health = judge(health, result, check);
    if (health.state !== before) changed(health);
  }

  let cancel = after(random() * Math.min(check.intervalMs, firstWithinMs), () => void run(random() * check.intervalMs));
  return {
    get health() {
      return health;
    },
    stop() {
      stopped = true;
      cancel();
      current?.cancel();
    },
  };
}
