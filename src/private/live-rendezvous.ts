import type { Counters } from "../base/counters.js";
import { codeOf, messageOf } from "../base/errors.js";
import type { ReasonCode } from "../base/reasons.js";
import type { Splice, SpliceEnd } from "../transport/endpoint.js";
import type { IncomingOffer, RendezvousRecord } from "./messages.js";

/** One offer from its arrival to the end of what became of it. */
export interface LiveRendezvous {
  readonly session: string;
  readonly offer: IncomingOffer;
  /** The target's address as the settings state it. */
  target: string | undefined;
  /**
   * What to call when the offer is taken back, everything is cut, or it is refused: it gives up whatever is open.
   * Replaces what was set before; called at once where the offer has been taken back already.
   */
  whenCancelled(cancel: () => void): void;
  refuse(error: unknown): void;
  /** Resolves when the splice has ended. */
  splice(splice: Splice): Promise<void>;
}

export interface LiveRendezvousTable {
  open(options: { session: string; publicProxy: string; offer: IncomingOffer }): LiveRendezvous;
  cancel(token: Uint8Array): void;
  /** Offers of a session that are not spliced yet. */
  unanswered(session: string): number;
  cutAll(): void;
  /** Called when the last one has ended. */
  whenEmpty(callback: () => void): void;
}

/** A dial-back's splice has the public proxy on side a and the target on side b. */
const endNames = {
  a_ended: "client",
  b_ended: "server",
  a_reset: "client_reset",
  b_reset: "server_reset",
  idle_timeout: "idle_timeout",
  half_closed_timeout: "half_closed_timeout",
  cut: "cut",
} as const satisfies Record<SpliceEnd, string>;

export function createLiveRendezvous(options: {
  counters: Counters;
  now: () => number;
  ended: (record: RendezvousRecord) => void;
  /** The offer was not answered by a dial-back that carried a verdict: the public proxy is to be told on the mesh. */
  declined: (session: string, token: Uint8Array, reason: ReasonCode) => void;
}): LiveRendezvousTable {
  const { counters, now, ended, declined } = options;
  const live = new Set<{ cut(): void }>();
  const byToken = new Map<string, () => void>();
  const unanswered = new Map<string, number>();
  let emptied: (() => void) | undefined;

  function countUnanswered(session: string, by: 1 | -1): void {
    const count = (unanswered.get(session) ?? 0) + by;
    if (count === 0) unanswered.delete(session);
    else unanswered.set(session, count);
  }

  return {
    open({ session, publicProxy, offer }) {
      const openedAt = now();
      const key = Buffer.from(offer.token).toString("latin1");
      let cancel: (() => void) | undefined;
      let cancelled = false;
      let answered = false;
      let splice: Splice | undefined;

      /** From here on the offer cannot be taken back. */
      function settleOffer(): void {
        if (answered) return;
        answered = true;
        if (byToken.get(key) === abandon) byToken.delete(key);
        countUnanswered(session, -1);
      }

      function close(end: Pick<RendezvousRecord, "bytesUp" | "bytesDown" | "endedBy" | "refused" | "detail">): void {
        live.delete(entry);
        settleOffer();
        counters.add("closed", 1);
        ended({
          connection: offer.connectionId,
          serverName: offer.serverName,
          client: offer.client,
          publicProxy,
          target: rendezvous.target,
          ms: Math.round(now() - openedAt),
          ...end,
        });
        if (live.size === 0) emptied?.();
      }

      const rendezvous: LiveRendezvous = {
        session,
        offer,
        target: undefined,
        whenCancelled(callback) {
          cancel = callback;
          if (cancelled) giveUp();
        },
        refuse(error) {
          giveUp();
          const code = cancelled ? "offer_cancelled" : codeOf(error);
          counters.refuse(code);
          if (toldOnTheMesh.has(code)) declined(session, offer.token, code);
          close({
            bytesUp: 0,
            bytesDown: 0,
            endedBy: code,
            refused: code,
            detail: cancelled ? undefined : messageOf(error),
          });
        },
        async splice(started) {
          splice = started;
          settleOffer();
          cancel = undefined;
          // Cut in the very moment in which it was joined.
          if (cancelled) started.cut();
          const { bytesAb, bytesBa, endedBy } = await started.done;
          close({
            bytesUp: bytesAb,
            bytesDown: bytesBa,
            endedBy: endNames[endedBy],
            refused: undefined,
            detail: undefined,
          });
        },
      };
      const giveUp = () => {
        cancel?.();
        cancel = undefined;
      };
      const abandon = () => {
        cancelled = true;
        giveUp();
      };
      const entry = {
        cut() {
          if (splice !== undefined) splice.cut();
          else abandon();
        },
      };
      live.add(entry);
      byToken.set(key, abandon);
      countUnanswered(session, 1);
      counters.add("opened", 1);
      return rendezvous;
    },

    cancel(token) {
      byToken.get(Buffer.from(token).toString("latin1"))?.();
    },

    unanswered: (session) => unanswered.get(session) ?? 0,

    cutAll() {
      for (const entry of [...live]) entry.cut();
    },

    whenEmpty(callback) {
      emptied = callback;
      if (live.size === 0) callback();
    },
  };
}

/** Reasons for which no dial-back arrived, so that no verdict could be given there. */
const toldOnTheMesh: ReadonlySet<ReasonCode> = new Set([
  "name_not_served",
  "shutting_down",
  "dial_back_failed",
  "endpoint_refused",
]);
