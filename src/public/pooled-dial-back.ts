import type { RosterMember } from "../base/roster.js";
import type { PrefaceKind } from "../rendezvous/preface.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { LiveToken, TokenHolder, Tokens } from "./tokens.js";
import type { VerdictDeadline } from "./verdict-deadline.js";

export interface PooledDialBackEvents {
  parked(place: PooledDialBack): void;
  ended(place: PooledDialBack): void;
}

/** A place in the pool, from the grant of its token to the verdict of the client that was given to it. */
export class PooledDialBack implements TokenHolder, RosterMember {
  rosterPlace = -1;
  readonly kind: PrefaceKind = "park";
  readonly session: string;
  /** When it is given up (monotonic ms): the token, or the dial-back that came with it. */
  retireAt: number;
  readonly #tokens: Tokens;
  readonly #token: LiveToken;
  readonly #events: PooledDialBackEvents;
  #dialBack: Endpoint | undefined;
  #deadline: VerdictDeadline | undefined;

  constructor(session: string, retireAt: number, tokens: Tokens, events: PooledDialBackEvents) {
    this.session = session;
    this.retireAt = retireAt;
    this.#tokens = tokens;
    this.#events = events;
    this.#token = tokens.create(this);
  }

  get token(): Uint8Array {
    return this.#token.bytes;
  }

  get dialBack(): Endpoint {
    return this.#dialBack!;
  }

  presented(dialBack: Endpoint): void {
    this.#dialBack = dialBack;
    this.#events.parked(this);
    void dialBack.hangup.then(() => this.#events.ended(this));
  }

  /** It has a client now, whose verdict must be there by the deadline. */
  give(deadline: VerdictDeadline): void {
    this.#deadline = deadline;
  }

  queued(msLeft: number): void {
    this.#deadline?.extend(msLeft);
  }

  /** The pool is told, and does what is to be done. */
  sessionGone(): void {}

  /** Closes what is parked, and forgets the token. */
  close(): void {
    this.over();
    this.#dialBack?.destroy();
  }

  /** Its client has its verdict, or gets none: nothing more will be said of the token. */
  over(): void {
    this.#tokens.retire(this.#token);
  }
}
