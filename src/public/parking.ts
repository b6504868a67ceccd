import type { ReasonCode } from "../base/reasons.js";
import { createToken, tokenDigest } from "../rendezvous/token.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { Alarm } from "../transport/transport.js";
import { createLateTokens, lateMs } from "./late-tokens.js";
import type { Loads } from "./loads.js";

/** What became of one attempt to have a client fetched. */
export type ParkOutcome =
  /** The dial-back is the parker's from here on. */
  | { readonly status: "claimed"; readonly dialBack: Endpoint }
  | { readonly status: "declined"; readonly reason: ReasonCode }
  | { readonly status: "sessionGone" }
  | { readonly status: "timedOut" }
  /** The client left, or the connection was ended from here. */
  | { readonly status: "abandoned" };

/** A client that waits for its dial-back. Token, timer and map entry live and die together. */
export interface ParkedClient {
  readonly token: Uint8Array;
  readonly outcome: Promise<ParkOutcome>;
  /** The first outcome counts; later ones are dropped. */
  settle(outcome: ParkOutcome): void;
}

export type Claim = { readonly status: "claimed" } | { readonly status: "refused"; readonly reason: ReasonCode };

export interface Parking {
  park(options: { session: string; timeoutMs: number }): ParkedClient;
  /** Gives the dial-back to whoever waits under the token. Refused: the dial-back is still the caller's. */
  claim(token: Uint8Array, dialBack: Endpoint): Claim;
  /** Only the session that the client was offered to can decline it. */
  decline(answer: { readonly session: string; readonly token: Uint8Array; readonly reason: ReasonCode }): void;
  sessionGone(session: string): void;
  /** Clients that wait for this session's answer. */
  waitingFor(session: string): number;
  readonly size: number;
  /** Forgets the late tokens; every parked client is abandoned. */
  close(): void;
}

/** What is known of a parked client under its token's digest. */
interface Waiting {
  readonly session: string;
  resolve: ((outcome: ParkOutcome) => void) | undefined;
  cancelAlarm: (() => void) | undefined;
}

/** Tokens are looked up by digest, so that the time a lookup takes tells nothing about them (and none is kept in clear). */
export function createParking(options: {
  worker: number;
  now: () => number;
  alarm: Alarm;
  loads?: Pick<Loads, "countUnanswered">;
  /** It takes the place of one whose tokens nobody remembers: what is unknown in the first minute counts as late. */
  replaces?: boolean;
}): Parking {
  const { worker, now, alarm, loads } = options;
  const allLateUntil = options.replaces === true ? now() + lateMs : Number.NEGATIVE_INFINITY;
  const parked = new Map<string, Waiting>();
  const waitingFor = new Map<string, number>();
  const late = createLateTokens(now);

  function countWaiting(session: string, by: 1 | -1): void {
    const count = (waitingFor.get(session) ?? 0) + by;
    if (count === 0) waitingFor.delete(session);
    else waitingFor.set(session, count);
    loads?.countUnanswered(session, by);
  }

  function settle(digest: string, outcome: ParkOutcome): void {
    const waiting = parked.get(digest);
    if (waiting === undefined) return;
    parked.delete(digest);
    const { resolve, cancelAlarm } = waiting;
    // Whoever still holds the entry, a table that has grown old say, must not keep a client by it.
    waiting.resolve = undefined;
    waiting.cancelAlarm = undefined;
    cancelAlarm?.();
    countWaiting(waiting.session, -1);
    late.remember(digest);
    resolve?.(outcome);
  }

  return {
    park({ session, timeoutMs }) {
      const token = createToken(worker);
      const digest = tokenDigest(token);
      const waiting: Waiting = { session, resolve: undefined, cancelAlarm: undefined };
      const outcome = new Promise<ParkOutcome>((resolve) => {
        waiting.resolve = resolve;
      });
      waiting.cancelAlarm = alarm(now() + timeoutMs, () => settle(digest, { status: "timedOut" }));
      parked.set(digest, waiting);
      countWaiting(session, 1);
      return { token, outcome, settle: (early) => settle(digest, early) };
    },

    claim(token, dialBack) {
      const digest = tokenDigest(token);
      if (parked.has(digest)) {
        settle(digest, { status: "claimed", dialBack });
        return { status: "claimed" };
      }
      const isLate = late.has(digest) || now() < allLateUntil;
      return { status: "refused", reason: isLate ? "token_late" : "token_unknown" };
    },

    decline({ session, token, reason }) {
      const digest = tokenDigest(token);
      if (parked.get(digest)?.session === session) settle(digest, { status: "declined", reason });
    },

    sessionGone(session) {
      if (!waitingFor.has(session)) return;
      for (const [digest, waiting] of [...parked]) {
        if (waiting.session === session) settle(digest, { status: "sessionGone" });
      }
    },

    waitingFor: (session) => waitingFor.get(session) ?? 0,

    get size() {
      return parked.size;
    },

    close() {
      for (const digest of [...parked.keys()]) settle(digest, { status: "abandoned" });
      late.clear();
    },
  };
}
