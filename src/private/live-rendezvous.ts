import type { Counters } from "../base/counters.js";
import { codeOf, messageOf, ProxyError } from "../base/errors.js";
import type { ReasonCode } from "../base/reasons.js";
import { createRoster, type Roster, type RosterMember } from "../base/roster.js";
import { declineVerdict, encodeVerdict } from "../rendezvous/verdict.js";
import type { Endpoint, Splice, SpliceEnd } from "../transport/endpoint.js";
import type { IncomingOffer, RendezvousRecord } from "./messages.js";
import type { Place } from "./target-queue.js";
import type { Server } from "./targets.js";

/** One offer from its arrival to the end of what became of it. */
export interface LiveRendezvous {
  readonly session: string;
  /** Until it is answered: spliced, or refused. */
  readonly offer: IncomingOffer;
  /** The dial-back that was parked, where the client came with one. Its header is still to be read. */
  readonly parked: Endpoint | undefined;
  /** The target's address as the settings state it: the one that is dialled, or all of them before. */
  target: string | undefined;
  /** Where it counts as a connection, until its end. */
  server: Server | undefined;
  /** At a target with a cap: left when all of this is over. */
  place: Place | undefined;
  /** It has to wait for its target, for so long at most: the public proxy is told, for which it would be lost otherwise. */
  queued(msLeft: number): void;
  /** Its client has come on the dial-back. One that is queued counts as unanswered no more: it may wait for long. */
  met(): void;
  /**
   * What to call when the offer is taken back, everything is cut, or it is refused: it gives up whatever is open.
   * Replaces what was set before; called at once where the offer has been taken back already.
   */
  whenCancelled(cancel: () => void): void;
  refuse(error: unknown): void;
  /** It is joined. Counts, and tells of its end when that comes. */
  splice(splice: Splice): void;
}

export interface LiveRendezvousTable {
  open(options: OpenOptions): LiveRendezvous;
  cancel(token: Uint8Array): void;
  /** Offers of a session that are neither spliced, nor in a queue with their client there. */
  unanswered(session: string): number;
  cutAll(): void;
  /** Called when the last one has ended. */
  whenEmpty(callback: () => void): void;
}

export interface OpenOptions {
  readonly session: string;
  readonly publicProxy: string;
  readonly offer: IncomingOffer;
  /** Is the rendezvous's from here on. */
  readonly parked?: Endpoint;
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

/** What the rendezvous of one data plane share. */
interface Shared {
  readonly counters: Counters;
  readonly now: () => number;
  readonly ended: (record: RendezvousRecord) => void;
  /** The offer was not answered by a dial-back that carried a verdict: the public proxy is to be told on the mesh. */
  readonly declined: (session: string, token: Uint8Array, reason: ReasonCode) => void;
  /** The rendezvous is over, and with it the connection that its server had. */
  readonly left: (server: Server) => void;
  readonly queued: (session: string, token: Uint8Array, msLeft: number) => void;
  readonly live: Roster<Rendezvous>;
  readonly byToken: Map<string, Rendezvous>;
  countUnanswered(session: string, by: 1 | -1): void;
  emptied: (() => void) | undefined;
}

export function createLiveRendezvous(
  options: Pick<Shared, "counters" | "now" | "ended" | "declined" | "queued" | "left">,
): LiveRendezvousTable {
  const unanswered = new Map<string, number>();
  const live = createRoster<Rendezvous>();
  const byToken = new Map<string, Rendezvous>();
  const shared: Shared = {
    ...options,
    live,
    byToken,
    countUnanswered(session, by) {
      const count = (unanswered.get(session) ?? 0) + by;
      if (count === 0) unanswered.delete(session);
      else unanswered.set(session, count);
    },
    emptied: undefined,
  };

  return {
    open(opened) {
      const { session, offer } = opened;
      const key = keyOf(offer.token);
      const rendezvous = new Rendezvous(shared, opened, key);
      live.add(rendezvous);
      byToken.set(key, rendezvous);
      shared.countUnanswered(session, 1);
      options.counters.add("opened", 1);
      return rendezvous;
    },
    cancel: (token) => byToken.get(keyOf(token))?.abandon(),
    unanswered: (session) => unanswered.get(session) ?? 0,
    cutAll() {
      for (const rendezvous of live.all()) rendezvous.cut();
    },
    whenEmpty(callback) {
      shared.emptied = callback;
      if (live.size === 0) callback();
    },
  };
}

function keyOf(token: Uint8Array): string {
  return Buffer.from(token.buffer, token.byteOffset, token.length).toString("latin1");
}

/** A class, and not closures, because there are thousands at once: once it is spliced it holds little. */
class Rendezvous implements LiveRendezvous, RosterMember {
  rosterPlace = -1;
  readonly session: string;
  target: string | undefined;
  server: Server | undefined;
  place: Place | undefined;
  readonly #shared: Shared;
  readonly #openedAt: number;
  readonly #publicProxy: string;
  readonly #told: Pick<IncomingOffer, "connectionId" | "serverName" | "client">;
  /** Until it is answered: spliced, or refused. */
  #offer: IncomingOffer | undefined;
  #parked: Endpoint | undefined;
  #key: string;
  #unanswered = true;
  #queued = false;
  #cancel: (() => void) | undefined;
  #cancelled = false;
  #splice: Splice | undefined;

  constructor(shared: Shared, { session, publicProxy, offer, parked }: OpenOptions, key: string) {
    const { connectionId, serverName, client } = offer;
    this.#shared = shared;
    this.session = session;
    this.#publicProxy = publicProxy;
    this.#told = { connectionId, serverName, client };
    this.#offer = offer;
    this.#parked = parked;
    this.#key = key;
    this.#openedAt = shared.now();
  }

  get offer(): IncomingOffer {
    if (this.#offer === undefined) throw new ProxyError("internal", "the offer has been answered");
    return this.#offer;
  }

  get parked(): Endpoint | undefined {
    return this.#parked;
  }

  whenCancelled(cancel: () => void): void {
    this.#cancel = cancel;
    if (this.#cancelled) this.#giveUp();
  }

  queued(msLeft: number): void {
    this.#shared.queued(this.session, this.offer.token, msLeft);
    this.#queued = true;
  }

  met(): void {
    if (this.#queued) this.#countAnswered();
  }

  refuse(error: unknown): void {
    const isDialled = this.#cancel !== undefined;
    const code = this.#cancelled ? "offer_cancelled" : codeOf(error);
    // Nothing where a verdict went out before, or the public proxy has left.
    if (!this.#cancelled) this.#parked?.end(Uint8Array.of(encodeVerdict(declineVerdict(code))));
    this.#giveUp();
    this.#shared.counters.refuse(code);
    const isDown = code === "target_unreachable" && !isDialled;
    const told = code === "target_queue_full" ? "target_full" : code;
    if (this.#parked === undefined && (isDown || toldOnTheMesh.has(told)))
      this.#shared.declined(this.session, this.offer.token, told);
    this.#close({
      bytesUp: 0,
      bytesDown: 0,
      endedBy: code,
      refused: code,
      detail: this.#cancelled ? undefined : messageOf(error),
    });
  }

  splice(started: Splice): void {
    this.#splice = started;
    this.#settleOffer();
    this.#cancel = undefined;
    started.whenDone(({ bytesAb, bytesBa, endedBy }) =>
      this.#close({
        bytesUp: bytesAb,
        bytesDown: bytesBa,
        endedBy: endNames[endedBy],
        refused: undefined,
        detail: undefined,
      }),
    );
    // Cut in the very moment in which it was joined.
    if (this.#cancelled) started.cut();
  }

  abandon(): void {
    this.#cancelled = true;
    this.#giveUp();
  }

  cut(): void {
    if (this.#splice !== undefined) this.#splice.cut();
    else this.abandon();
  }

  #giveUp(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** From here on the offer cannot be taken back. */
  #settleOffer(): void {
    if (this.#offer === undefined) return;
    const key = this.#key;
    const { byToken } = this.#shared;
    if (byToken.get(key) === this) byToken.delete(key);
    this.#offer = undefined;
    this.#parked = undefined;
    this.#key = "";
    this.#countAnswered();
  }

  #countAnswered(): void {
    if (this.#unanswered) this.#shared.countUnanswered(this.session, -1);
    this.#unanswered = false;
  }

  #close(end: Pick<RendezvousRecord, "bytesUp" | "bytesDown" | "endedBy" | "refused" | "detail">): void {
    const { live, counters, now, ended, emptied } = this.#shared;
    live.delete(this);
    this.#settleOffer();
    counters.add("closed", 1);
    if (this.server !== undefined) this.#shared.left(this.server);
    this.place?.leave();
    this.place = undefined;
    const { connectionId, serverName, client } = this.#told;
    ended({
      connection: connectionId,
      serverName,
      client,
      publicProxy: this.#publicProxy,
      target: this.target,
      ms: Math.round(now() - this.#openedAt),
      ...end,
    });
    // What is over holds nothing: whoever still knows of it must not keep the rest.
    this.#splice = undefined;
    if (live.size === 0) emptied?.();
  }
}

/** Reasons for which no dial-back arrived, so that no verdict could be given there. */
const toldOnTheMesh: ReadonlySet<ReasonCode> = new Set([
  "name_not_served",
  "target_full",
  "shutting_down",
  "dial_back_failed",
  "endpoint_refused",
]);
