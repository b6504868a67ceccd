import type { Deadline } from "../base/deadline.js";
import { createRoster, type Roster } from "../base/roster.js";
import type { Alarm } from "../transport/transport.js";
import type { Turn } from "./attempt.js";
import type { PublicDataPlaneConfig } from "./messages.js";
import { PooledDialBack } from "./pooled-dial-back.js";
import { pooledTokenMs, type Tokens } from "./tokens.js";

/** Keeps a message small; what is missing then is granted at the next look. */
const maxTokensPerGrant = 4096;
/** How often the pool looks for what has grown old. */
const sweepMs = 1000;
/** Dial-backs that were parked together are not retired together: each lives so much shorter at most. */
const ageSpread = 0.1;

/** What a private proxy asks for. */
export interface PoolRequest {
  /** Over all workers. */
  readonly wanted: number;
  /** 0: however old. */
  readonly maxAgeMs: number;
  /** Tokens that were granted and not presented are lost. */
  readonly renew: boolean;
}

/** The parked dial-backs of one worker. They bear no name: whoever serves a client is decided when it comes. */
export interface Pool {
  /** Grants the tokens that are missing, as far as the settings allow, and closes what is too much. */
  ask(session: string, request: PoolRequest): void;
  /** The settings have changed. */
  configure(): void;
  /** The dial-back that was parked last, the likeliest to be alive, is the caller's. Undefined where there is none. */
  take(session: string): PooledDialBack | undefined;
  /**
   * The next one that is parked, first come first served, where the settings have clients wait for one and the session has
   * tokens. Undefined when none came in time, or the client has left.
   */
  next(
    turn: Pick<Turn, "connection" | "announcer">,
    deadline: Deadline,
  ): Promise<PooledDialBack | undefined> | undefined;
  isEmpty(session: string): boolean;
  /** Closes all that are parked. The session may park others. */
  drop(session: string): void;
  sessionGone(session: string): void;
  close(): void;
  readonly size: number;
}

export interface PoolOptions {
  readonly tokens: Tokens;
  readonly now: () => number;
  readonly alarm: Alarm;
  readonly worker: number;
  readonly workers: number;
  readonly config: () => Pick<PublicDataPlaneConfig, "maxPooledPerPrivateProxy" | "pooledWaitMs" | "maxConnections">;
  readonly grant: (session: string, tokens: readonly Uint8Array[], msLeft: number) => void;
  readonly count: (session: string, by: 1 | -1) => void;
  /** What was counted, over all workers. */
  readonly counted: (session: string) => number;
}

interface SessionPool {
  request: PoolRequest;
  /** Over all workers. */
  allowed: number;
  /** This worker grants tokens for so many of them, and for as many again in advance. */
  share: number;
  /** Oldest first. */
  readonly parked: PooledDialBack[];
  /** Tokens that were granted and not presented. */
  readonly granted: Roster<PooledDialBack>;
  readonly waiting: Set<(dialBack: PooledDialBack | undefined) => void>;
  /** What was granted is lost. Seen to at the next sweep: so a session cannot have tokens made as fast as it can ask. */
  renewDue: boolean;
}

export function createPool(options: PoolOptions): Pool {
  const { tokens, now, alarm, config, grant, count, counted, worker, workers } = options;
  const sessions = new Map<string, SessionPool>();
  let size = 0;
  let cancelSweep: (() => void) | undefined;

  /** Tokens for twice what may be parked lie at the private proxy, and come by the dozen: most clients cost no message. */
  function replenish(session: string, pool: SessionPool): void {
    const { share } = pool;
    const missing = 2 * share - pool.parked.length - pool.granted.size;
    if (share === 0 || missing < Math.max(1, share / 2)) return;
    const fresh: Uint8Array[] = [];
    for (let n = Math.min(missing, maxTokensPerGrant); n > 0; n--) {
      const place = new PooledDialBack(session, now() + pooledTokenMs, tokens, events);
      pool.granted.add(place);
      fresh.push(place.token);
    }
    grant(session, fresh, pooledTokenMs);
  }

  function retirement({ maxAgeMs }: PoolRequest): number {
    return maxAgeMs === 0 ? Number.POSITIVE_INFINITY : now() + maxAgeMs * (1 - ageSpread * Math.random());
  }

  const events = {
    parked(place: PooledDialBack): void {
      const pool = sessions.get(place.session);
      pool?.granted.delete(place);
      const most = Math.ceil(config().maxConnections / workers);
      if (pool === undefined || counted(place.session) >= pool.allowed || size >= most) return place.close();
      place.retireAt = retirement(pool.request);
      const [first] = pool.waiting;
      if (first === undefined) {
        pool.parked.push(place);
        size++;
        count(place.session, 1);
        return;
      }
      first(place);
      replenish(place.session, pool);
    },
    ended: remove,
  };

  /** Nothing where it is not parked (any more). */
  function remove(place: PooledDialBack): void {
    const pool = sessions.get(place.session);
    const at = pool?.parked.indexOf(place) ?? -1;
    if (pool === undefined || at === -1) return;
    pool.parked.splice(at, 1);
    left(place.session, pool);
    place.close();
  }

  function left(session: string, pool: SessionPool): void {
    size--;
    count(session, -1);
    replenish(session, pool);
  }

  function closeOldest(session: string, pool: SessionPool): void {
    const oldest = pool.parked.shift();
    if (oldest === undefined) return;
    left(session, pool);
    oldest.close();
  }

  function allow(session: string, pool: SessionPool): void {
    pool.allowed = Math.min(pool.request.wanted, config().maxPooledPerPrivateProxy);
    pool.share = Math.floor(pool.allowed / workers) + (worker < pool.allowed % workers ? 1 : 0);
    while (pool.parked.length > 0 && counted(session) > pool.allowed) closeOldest(session, pool);
    replenish(session, pool);
  }

  function sweep(): void {
    cancelSweep = sessions.size === 0 ? undefined : alarm(now() + sweepMs, sweep);
    for (const [session, pool] of sessions) {
      for (const place of pool.parked.filter(({ retireAt }) => retireAt <= now())) remove(place);
      for (const place of pool.granted.all()) {
        if (place.retireAt > now() && !pool.renewDue) continue;
        pool.granted.delete(place);
        place.close();
      }
      pool.renewDue = false;
      replenish(session, pool);
    }
  }

  function dropSession(session: string): void {
    const pool = sessions.get(session);
    if (pool === undefined) return;
    sessions.delete(session);
    for (const give of [...pool.waiting]) give(undefined);
    for (const place of [...pool.parked, ...pool.granted.all()]) place.close();
    size -= pool.parked.length;
    for (let n = pool.parked.length; n > 0; n--) count(session, -1);
  }

  return {
    ask(session, request) {
      const pool = sessions.get(session) ?? {
        request,
        allowed: 0,
        share: 0,
        parked: [],
        granted: createRoster<PooledDialBack>(),
        waiting: new Set(),
        renewDue: false,
      };
      sessions.set(session, pool);
      // Who lets them grow less old than before means those too that are parked already.
      if (request.maxAgeMs !== pool.request.maxAgeMs)
        for (const place of pool.parked) place.retireAt = Math.min(place.retireAt, retirement(request));
      pool.request = request;
      pool.renewDue ||= request.renew;
      allow(session, pool);
      cancelSweep ??= alarm(now() + sweepMs, sweep);
    },
    configure() {
      for (const [session, pool] of sessions) allow(session, pool);
    },
    take(session) {
      const pool = sessions.get(session);
      const newest = pool?.parked.pop();
      if (pool !== undefined && newest !== undefined) left(session, pool);
      return newest;
    },
    next({ connection, announcer }, deadline) {
      const { pooledWaitMs } = config();
      const pool = sessions.get(announcer.session.session);
      if (pooledWaitMs === 0 || pool === undefined || pool.granted.size === 0) return undefined;
      return new Promise((resolve) => {
        const done = (dialBack?: PooledDialBack) => {
          cancelAlarm();
          pool.waiting.delete(done);
          resolve(dialBack);
        };
        pool.waiting.add(done);
        const cancelAlarm = alarm(Math.min(now() + pooledWaitMs, deadline.at), done);
        connection.whenGone(done);
      });
    },
    isEmpty: (session) => (sessions.get(session)?.parked.length ?? 0) === 0,
    drop(session) {
      const pool = sessions.get(session);
      // No more than there are now: what is closed may be replaced at once.
      for (let n = pool?.parked.length ?? 0; n > 0; n--) closeOldest(session, pool!);
    },
    sessionGone: dropSession,
    close() {
      for (const session of [...sessions.keys()]) dropSession(session);
      cancelSweep?.();
    },
    get size() {
      return size;
    },
  };
}
