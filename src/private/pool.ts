import { type Backoff, fullJitter } from "../base/backoff.js";
import type { PoolSettings } from "../settings/types.js";
import type { UnparkedHow } from "./messages.js";
import { createPoolSize, type PoolSize } from "./pool-size.js";
import { createTokenStock, type TokenStock } from "./token-stock.js";

/** How often the pool looks whether it is larger than anybody needs. From 8 to none takes four of them. */
const periodMs = 5000;
/** So many periods without a token, after dial-backs that were lost, and those that were granted are taken for lost. */
const periodsWithoutTokens = 2;
/** A public proxy that lets nobody park is tried again ever more rarely. */
const pause = { minMs: 100, maxMs: 30_000 };

/** What a public proxy is told of the pool. */
export interface PoolReport {
  readonly idle: number;
  readonly wanted: number;
  readonly maxAgeMs: number;
  /** Every token is used up, and none led anywhere: others are needed. */
  readonly renew: boolean;
}

/**
 * The pools of a private proxy, one for each session: how many dial-backs should be parked, and the tokens for them. The
 * data plane dials; it is told to by `park`, and tells what became of each by `unparked`.
 */
export interface Pools {
  attached(session: string, report: (state: PoolReport) => void): void;
  granted(session: string, tokens: readonly Uint8Array[], msLeft: number): void;
  /** So many clients were offered: they found no parked dial-back. */
  offered(session: string, clients: number): void;
  unparked(session: string, how: UnparkedHow, count: number): void;
  detached(session: string): void;
  configure(settings: PoolSettings): void;
  /** Parked, or on their way to it. */
  readonly held: number;
  /** Nothing is parked any more. */
  close(): void;
}

interface SessionPool {
  readonly size: PoolSize;
  readonly report: (state: PoolReport) => void;
  readonly stock: TokenStock;
  held: number;
  /** What the public proxy knows to be wanted; undefined: it is to be told. */
  reported: number | undefined;
  reporting: boolean;
  /** Some dial-back failed or was closed since tokens came last: the public proxy may take its token for unused. */
  lost: boolean;
  /** Periods that ended without a token where one was needed, since then. */
  starvedPeriods: number;
  readonly backoff: Backoff;
  retry: NodeJS.Timeout | undefined;
}

export function createPools(options: {
  settings: PoolSettings;
  now: () => number;
  park: (session: string, tokens: readonly Uint8Array[]) => void;
  /** Tests: another period. */
  periodMs?: number;
}): Pools {
  const { now, park } = options;
  let { settings } = options;
  const sessions = new Map<string, SessionPool>();
  let held = 0;
  let open = true;

  /** Where all together want more than `max`, nobody asks for more than an equal part of it: what is parked beyond is let go. */
  function wantedOf({ size }: SessionPool): number {
    let all = 0;
    for (const pool of sessions.values()) all += pool.size.wanted;
    if (all <= settings.max) return size.wanted;
    return Math.min(size.wanted, settings.max, Math.max(1, Math.floor(settings.max / sessions.size)));
  }

  const period = setInterval(() => {
    for (const [session, pool] of sessions) {
      pool.size.periodOver(pool.held);
      fill(session, pool);
      const starved = pool.lost && pool.retry === undefined && held < settings.max && pool.held < wantedOf(pool);
      pool.starvedPeriods = starved ? pool.starvedPeriods + 1 : 0;
    }
    reportAll();
  }, options.periodMs ?? periodMs);
  period.unref();

  /** What one wants more is a smaller part for the others. */
  function reportAll(): void {
    for (const pool of sessions.values()) reportSoon(pool);
  }

  /** Once for all that changes in a round. */
  function reportSoon(pool: SessionPool): void {
    const isStarved = () => pool.starvedPeriods >= periodsWithoutTokens;
    if (pool.reporting || (wantedOf(pool) === pool.reported && !isStarved())) return;
    pool.reporting = true;
    queueMicrotask(() => {
      pool.reporting = false;
      pool.reported = wantedOf(pool);
      const renew = isStarved();
      if (renew) pool.starvedPeriods = 0;
      pool.report({ idle: pool.held, wanted: pool.reported, maxAgeMs: settings.maxAgeMs, renew });
    });
  }

  function fill(session: string, pool: SessionPool): void {
    if (!open || pool.retry !== undefined) return;
    const missing = Math.min(wantedOf(pool) - pool.held, settings.max - held);
    if (missing <= 0) return;
    const tokens = pool.stock.take(missing);
    if (tokens.length === 0) return;
    pool.held += tokens.length;
    held += tokens.length;
    park(session, tokens);
  }

  /** What one session has given up another may need: those with the fewest come first. */
  function fillAll(): void {
    const poorestFirst = [...sessions].sort(([, a], [, b]) => a.held - b.held);
    for (const [session, pool] of poorestFirst) fill(session, pool);
  }

  function pauseAfterFailure(session: string, pool: SessionPool): void {
    pool.retry ??= setTimeout(() => {
      pool.retry = undefined;
      fill(session, pool);
    }, pool.backoff.next());
    pool.retry.unref();
  }

  return {
    attached(session, report) {
      const pool: SessionPool = {
        size: createPoolSize(settings),
        report,
        stock: createTokenStock(now),
        held: 0,
        reported: 0,
        reporting: false,
        lost: false,
        starvedPeriods: 0,
        backoff: fullJitter(pause),
        retry: undefined,
      };
      sessions.set(session, pool);
      reportAll();
    },
    granted(session, tokens, msLeft) {
      const pool = sessions.get(session);
      if (pool === undefined) return;
      pool.stock.add(tokens, msLeft);
      pool.lost = false;
      pool.starvedPeriods = 0;
      fill(session, pool);
    },
    offered(session, clients) {
      const pool = sessions.get(session);
      if (pool === undefined) return;
      for (let n = Math.min(clients, settings.maxIdle); n > 0; n--) pool.size.missed();
      reportAll();
      fill(session, pool);
    },
    unparked(session, how, count) {
      const pool = sessions.get(session);
      if (pool === undefined) return;
      pool.held -= count;
      held -= count;
      if (how === "used") pool.size.left(pool.held);
      pool.lost ||= how !== "used";
      if (how === "failed") pauseAfterFailure(session, pool);
      else pool.backoff.reset();
      if (held + count >= settings.max) fillAll();
      else fill(session, pool);
    },
    detached(session) {
      const pool = sessions.get(session);
      if (pool === undefined) return;
      sessions.delete(session);
      held -= pool.held;
      clearTimeout(pool.retry);
      reportAll();
      fillAll();
    },
    configure(next) {
      const isOtherAge = next.maxAgeMs !== settings.maxAgeMs;
      settings = next;
      for (const pool of sessions.values()) {
        pool.size.configure(next);
        if (isOtherAge) pool.reported = undefined;
      }
      reportAll();
      fillAll();
    },
    get held() {
      return held;
    },
    close() {
      open = false;
      clearInterval(period);
      for (const { retry } of sessions.values()) clearTimeout(retry);
    },
  };
}
