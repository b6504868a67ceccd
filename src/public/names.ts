import { type Candidate, createCandidate } from "../balance/candidate.js";
import type { BalanceMethod } from "../balance/method.js";
import { createPatternTable, type Pattern, type PatternTable, parsePattern, preferAlpn } from "../tls-sni/index.js";
import type { AnnouncedNames, GrantedPattern, SessionFacts } from "./messages.js";
import { sameTerms, type Terms } from "./terms.js";

const defaultBalance: BalanceMethod = "least-connections";

/** Somebody who serves a name now. */
export interface Announcer extends Terms {
  readonly session: SessionFacts;
  readonly announcementId: number;
  readonly candidate: Candidate;
}

/** Whom a hello may be offered to: those of the most specific pattern at which somebody fits. */
export type Match =
  | { readonly status: "announced"; readonly announcers: readonly Announcer[] }
  /** Nobody serves it now, but somebody may in a moment: wait until then. */
  | { readonly status: "hold"; readonly until: number }
  | {
      readonly status: "refused";
      readonly reason: "server_name_missing" | "server_name_not_granted" | "server_name_not_announced";
    };

interface Announcement {
  announcer: Announcer;
  readonly patterns: Map<string, Pattern>;
}

interface Departure {
  readonly pattern: Pattern;
  readonly at: number;
}

/** The data plane's replica of who announced what, so that matching a client asks nobody. */
export interface Names {
  match(hello: { readonly serverName?: string | undefined; readonly alpn: readonly string[] }): Match;
  /** Calls `wake` once when an announcement that matches comes, and forgets it; returns the way to forget it sooner. */
  onAnnounced(serverName: string | undefined, wake: () => void): () => void;
  /** How clients of a name are dealt out: as the most specific granted pattern that covers it says. */
  balanceOf(serverName: string | undefined): BalanceMethod;
  configure(config: { grantedPatterns: readonly GrantedPattern[]; startupHoldMs: number }): void;
  attached(session: SessionFacts): void;
  announced(names: AnnouncedNames): void;
  withdrawn(session: string, announcementId: number, patterns: readonly string[]): void;
  /** Clients come from now on, not since this was made: the hold at the start begins. */
  started(): void;
  /** Everything the session announced is gone; its names are held for a while, since it may come back. */
  sessionLeft(session: string): void;
  sessionGone(session: string): void;
  readonly size: number;
}

export function createNames(options: { now: () => number }): Names {
  const { now } = options;
  let startedAt = now();
  const table = createPatternTable<Announcer>();
  const sessions = new Map<string, { facts: SessionFacts; announcements: Map<number, Announcement> }>();
  /** Patterns whose last announcer left, and when; kept for as long as a client may be held for them. */
  const departed = new Map<string, Departure>();
  const departedTable = createPatternTable<Departure>();
  let granted: PatternTable<BalanceMethod> = createPatternTable<BalanceMethod>();
  /** The method of all clients, where all grants state the same one: then nothing need be looked up. */
  let onlyBalance: BalanceMethod | undefined = defaultBalance;
  let startupHoldMs = 0;
  const waiting = new Map<string | undefined, Set<() => void>>();

  function holdUntil(serverName: string | undefined): number {
    let until = startedAt + startupHoldMs;
    for (const { values } of departedTable.lookup(serverName)) {
      for (const { at } of values) until = Math.max(until, at + startupHoldMs);
    }
    return until;
  }

  /** One pass over those who wait, however many patterns came: both can be many at once, after a restart. */
  function wakeFor(patterns: readonly Pattern[]): void {
    if (waiting.size === 0) return;
    const wildcards = createPatternTable<true>();
    for (const pattern of patterns) {
      if (pattern.kind === "exact") wakeAll(pattern.name);
      else wildcards.add(pattern, true);
    }
    if (wildcards.size === 0) return;
    for (const serverName of [...waiting.keys()]) {
      if (wildcards.lookup(serverName).length > 0) wakeAll(serverName);
    }
  }

  function wakeAll(serverName: string | undefined): void {
    const wakers = waiting.get(serverName);
    if (wakers === undefined) return;
    waiting.delete(serverName);
    for (const wake of wakers) wake();
  }

  /** The map is in the order of departure, so the expired ones stand in front. */
  function forgetExpired(): void {
    const oldest = now() - startupHoldMs;
    for (const departure of departed.values()) {
      if (departure.at > oldest) return;
      forgetDeparture(departure.pattern);
    }
  }

  function forgetDeparture(pattern: Pattern): void {
    const departure = departed.get(pattern.text);
    if (departure === undefined) return;
    departed.delete(pattern.text);
    departedTable.delete(pattern, departure);
  }

  function rememberDeparture(pattern: Pattern): void {
    forgetDeparture(pattern);
    const departure = { pattern, at: now() };
    departed.set(pattern.text, departure);
    departedTable.add(pattern, departure);
  }

  function drop(session: string): void {
    const known = sessions.get(session);
    if (known === undefined) return;
    forgetExpired();
    for (const { announcer, patterns } of known.announcements.values()) {
      for (const pattern of patterns.values()) {
        table.delete(pattern, announcer);
        if (!table.has(pattern)) rememberDeparture(pattern);
      }
    }
    known.announcements.clear();
  }

  /** On other terms; its names are never without one of the two. */
  function replaceAnnouncer(entry: Announcement, announcer: Announcer): void {
    for (const pattern of entry.patterns.values()) {
      table.add(pattern, announcer);
      table.delete(pattern, entry.announcer);
    }
    entry.announcer = announcer;
  }

  return {
    match({ serverName, alpn }) {
      for (const { values } of table.lookup(serverName)) {
        const announcers = preferAlpn(values, alpn);
        if (announcers.length > 0) return { status: "announced", announcers };
      }
      const isGranted = granted.lookup(serverName).length > 0;
      if (!isGranted)
        return {
          status: "refused",
          reason: serverName === undefined ? "server_name_missing" : "server_name_not_granted",
        };
      const until = holdUntil(serverName);
      if (until > now()) return { status: "hold", until };
      return {
        status: "refused",
        reason: serverName === undefined ? "server_name_missing" : "server_name_not_announced",
      };
    },

    onAnnounced(serverName, wake) {
      const wakers = waiting.get(serverName) ?? new Set();
      wakers.add(wake);
      waiting.set(serverName, wakers);
      return () => {
        wakers.delete(wake);
        if (wakers.size === 0 && waiting.get(serverName) === wakers) waiting.delete(serverName);
      };
    },

    balanceOf(serverName) {
      if (onlyBalance !== undefined) return onlyBalance;
      const [mostSpecific] = granted.lookup(serverName);
      const [balance = defaultBalance] = mostSpecific?.values ?? [];
      return balance;
    },

    configure(config) {
      startupHoldMs = config.startupHoldMs;
      granted = createPatternTable();
      const methods = new Set<BalanceMethod>();
      for (const { pattern, balance } of config.grantedPatterns) {
        granted.add(patternOf(pattern), balance);
        methods.add(balance);
      }
      const [only = defaultBalance] = methods;
      onlyBalance = methods.size < 2 ? only : undefined;
    },

    attached(facts) {
      sessions.set(facts.session, { facts, announcements: new Map() });
    },

    announced(names) {
      const known = sessions.get(names.session);
      if (known === undefined) return;
      const entry = known.announcements.get(names.announcementId) ?? {
        announcer: announcerOf(known.facts, names),
        patterns: new Map(),
      };
      known.announcements.set(names.announcementId, entry);
      if (!sameTerms(entry.announcer, names)) replaceAnnouncer(entry, announcerOf(known.facts, names));
      const patterns = names.patterns.map(patternOf);
      for (const pattern of patterns) {
        entry.patterns.set(pattern.text, pattern);
        table.add(pattern, entry.announcer);
        forgetDeparture(pattern);
      }
      wakeFor(patterns);
    },

    withdrawn(session, announcementId, texts) {
      const entry = sessions.get(session)?.announcements.get(announcementId);
      if (entry === undefined) return;
      for (const text of texts) {
        const pattern = entry.patterns.get(text);
        if (pattern === undefined) continue;
        table.delete(pattern, entry.announcer);
        entry.patterns.delete(text);
      }
      if (entry.patterns.size === 0) sessions.get(session)?.announcements.delete(announcementId);
    },

    started() {
      startedAt = now();
    },

    sessionLeft: drop,

    sessionGone(session) {
      drop(session);
      sessions.delete(session);
    },

    get size() {
      return table.size;
    },
  };
}

function announcerOf(session: SessionFacts, { announcementId, alpn, weight, priority }: AnnouncedNames): Announcer {
  // Its identity and name outlive a restart, its instance does not.
  const key = `${session.identity} ${session.name}`;
  const candidate = createCandidate({ weight, key, tieKey: `${session.instance} ${announcementId}` });
  return { session, announcementId, alpn, weight, priority, candidate };
}

/** The control plane sends canonical patterns only. */
function patternOf(text: string): Pattern {
  const parsed = parsePattern(text);
  if (parsed.status === "invalid") throw new Error(`not a canonical server-name pattern: ${text}`);
  return parsed.pattern;
}
