import type { ReasonCode } from "../base/reasons.js";
import { createRoster, type Roster, type RosterMember } from "../base/roster.js";
import type { PrefaceKind } from "../rendezvous/preface.js";
import { createToken, tokenDigest } from "../rendezvous/token.js";
import type { Endpoint } from "../transport/endpoint.js";

/** How long a dead token is remembered, so that a dial-back that comes too late is not taken for an attack. */
export const lateMs = 60_000;
const maxLate = 20_000;
/** How long a token for the pool may lie unused at the private proxy. */
export const pooledTokenMs = 600_000;

/** What a token stands for: a client that waits, or a place in the pool. */
export interface TokenHolder {
  readonly session: string;
  /** The preface in which it may be presented. */
  readonly kind: PrefaceKind;
  /** A dial-back has presented it, and is the holder's from here on. Called once at most. */
  presented(dialBack: Endpoint): void;
  /** The private proxy says that the client which came with it waits for its target, and may for so long. */
  queued(msLeft: number): void;
  sessionGone(): void;
}

/** A token that is alive: known, and not presented or still needed for what is said of it. */
export interface LiveToken extends RosterMember {
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly holder: TokenHolder;
  presented: boolean;
}

export type Claim = { readonly status: "claimed" } | { readonly status: "refused"; readonly reason: ReasonCode };

/**
 * The tokens of one worker. Looked up by digest, so that the time a lookup takes tells nothing about them. Those that died
 * lately, the newest 20,000 of the last minute, are told from those that never were.
 */
export interface Tokens {
  create(holder: TokenHolder): LiveToken;
  /** Gives the dial-back to the token's holder. Refused: the dial-back is still the caller's. */
  present(kind: PrefaceKind, token: Uint8Array, dialBack: Endpoint): Claim;
  /** The holder, where the token is alive and the session is the one it was given to. */
  find(session: string, token: Uint8Array): TokenHolder | undefined;
  /** From here on it is late. May be called again. */
  retire(token: LiveToken): void;
  sessionGone(session: string): void;
  /** Every holder is told that its session is gone; nothing is remembered. */
  close(): void;
}

export function createTokens(options: {
  worker: number;
  now: () => number;
  /** It takes the place of one whose tokens nobody remembers: for as long as they could be good, what is unknown counts as late. */
  replaces?: boolean;
}): Tokens {
  const { worker, now } = options;
  const replacedAt = options.replaces === true ? now() : Number.NEGATIVE_INFINITY;
  /** A living token, or when it died. One table for both, so that a death costs no deletion. */
  const table = new Map<string, LiveToken | number>();
  const bySession = new Map<string, Roster<LiveToken>>();
  /** The dead in the order of their death: looking for the oldest in the map itself costs more the more have gone. */
  let dead: string[] = [];
  let oldest = 0;
  let late = 0;

  function forgetOldest(): void {
    table.delete(dead[oldest]!);
    oldest = (oldest + 1) % maxLate;
    late--;
  }

  function remember(digest: string): void {
    const past = now() - lateMs;
    while (late > 0 && (late >= maxLate || (table.get(dead[oldest]!) as number) <= past)) forgetOldest();
    dead[(oldest + late) % maxLate] = digest;
    late++;
    table.set(digest, now());
  }

  function leaveSession(token: LiveToken): void {
    const { session } = token.holder;
    const roster = bySession.get(session);
    roster?.delete(token);
    if (roster?.size === 0) bySession.delete(session);
  }

  function sessionGone(session: string): void {
    for (const token of bySession.get(session)?.all() ?? []) token.holder.sessionGone();
  }

  return {
    create(holder) {
      const bytes = createToken(worker);
      const token: LiveToken = { bytes, digest: tokenDigest(bytes), holder, presented: false, rosterPlace: -1 };
      table.set(token.digest, token);
      const { session } = holder;
      const roster = bySession.get(session) ?? createRoster<LiveToken>();
      if (roster.size === 0) bySession.set(session, roster);
      roster.add(token);
      return token;
    },

    present(kind, bytes, dialBack) {
      const found = table.get(tokenDigest(bytes));
      if (typeof found === "object") {
        if (found.presented) return { status: "refused", reason: "token_late" };
        if (found.holder.kind !== kind) return { status: "refused", reason: "token_misplaced" };
        found.presented = true;
        found.holder.presented(dialBack);
        return { status: "claimed" };
      }
      const isRemembered = found !== undefined && found > now() - lateMs;
      const isLate = isRemembered || now() < replacedAt + (kind === "park" ? pooledTokenMs : lateMs);
      return { status: "refused", reason: isLate ? "token_late" : "token_unknown" };
    },

    find(session, bytes) {
      const found = table.get(tokenDigest(bytes));
      return typeof found === "object" && found.holder.session === session ? found.holder : undefined;
    },

    retire(token) {
      if (table.get(token.digest) !== token) return;
      leaveSession(token);
      remember(token.digest);
    },

    sessionGone,

    close() {
      for (const session of [...bySession.keys()]) sessionGone(session);
      table.clear();
      dead = [];
      oldest = 0;
      late = 0;
    },
  };
}
