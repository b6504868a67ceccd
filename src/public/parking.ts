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
  const parked = new Map<string, ParkedClient & { readonly session: string; give(dialBack: Endpoint): void }>();
  const bySession = new Map<string, Set<ParkedClient>>();
  const late = createLateTokens(now);

  return {
    park({ session, timeoutMs }) {
      const token = createToken(worker);
      const digest = tokenDigest(token);
      let resolve!: (outcome: ParkOutcome) => void;
      const outcome = new Promise<ParkOutcome>((done) => {
        resolve = done;
      });
      const settle = (result: ParkOutcome) => {
        if (!parked.delete(digest)) return;
        cancelAlarm();
        const siblings = bySession.get(session);
        siblings?.delete(client);
        if (siblings?.size === 0) bySession.delete(session);
        loads?.countUnanswered(session, -1);
        late.remember(digest);
        resolve(result);
      };
      const cancelAlarm = alarm(now() + timeoutMs, () => settle({ status: "timedOut" }));
      const client = {
        token,
        session,
        outcome,
        settle,
        give: (dialBack: Endpoint) => settle({ status: "claimed", dialBack }),
      };
      parked.set(digest, client);
      loads?.countUnanswered(session, 1);
      const siblings = bySession.get(session);
      if (siblings === undefined) bySession.set(session, new Set([client]));
      else siblings.add(client);
      return client;
    },

    claim(token, dialBack) {
      const digest = tokenDigest(token);
      const client = parked.get(digest);
      if (client !== undefined) {
        client.give(dialBack);
        return { status: "claimed" };
      }
      const isLate = late.has(digest) || now() < allLateUntil;
      return { status: "refused", reason: isLate ? "token_late" : "token_unknown" };
    },

    decline({ session, token, reason }) {
      const client = parked.get(tokenDigest(token));
      if (client?.session === session) client.settle({ status: "declined", reason });
    },

    sessionGone(session) {
      for (const client of [...(bySession.get(session) ?? [])]) client.settle({ status: "sessionGone" });
    },

    waitingFor: (session) => bySession.get(session)?.size ?? 0,

    get size() {
      return parked.size;
    },

    close() {
      for (const client of [...parked.values()]) client.settle({ status: "abandoned" });
      late.clear();
    },
  };
}
