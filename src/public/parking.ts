import type { ReasonCode } from "../base/reasons.js";
import type { PrefaceKind } from "../rendezvous/preface.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { Alarm } from "../transport/transport.js";
import type { LiveToken, TokenHolder, Tokens } from "./tokens.js";
import type { VerdictDeadline } from "./verdict-deadline.js";

/** What became of one attempt to have a client fetched. */
export type ParkOutcome =
  /** The dial-back is the parker's from here on. */
  | { readonly status: "claimed"; readonly dialBack: Endpoint }
  | { readonly status: "declined"; readonly reason: ReasonCode }
  | { readonly status: "sessionGone" }
  | { readonly status: "timedOut" }
  /** The client left, or the connection was ended from here. */
  | { readonly status: "abandoned" };

/** A client that waits for its dial-back. Token, timer and table entry die together. */
export interface ParkedClient {
  readonly token: Uint8Array;
  readonly outcome: Promise<ParkOutcome>;
  /** The first outcome counts; later ones are dropped. */
  settle(outcome: ParkOutcome): void;
  /** After a claim: the verdict is there, or is not waited for any more. */
  over(): void;
}

export interface Parking {
  /** Until the claim the client waits as long as `deadline` says now, whatever becomes of it later. */
  park(options: { session: string; deadline: VerdictDeadline }): ParkedClient;
  /** Only the session that the client was offered to can decline it, and not on the mesh once a dial-back has come. */
  decline(answer: { readonly session: string; readonly token: Uint8Array; readonly reason: ReasonCode }): void;
  /** Clients that nobody has come for yet. */
  readonly size: number;
}

export function createParking(options: { tokens: Tokens; alarm: Alarm }): Parking {
  const { tokens, alarm } = options;
  const waiting: Waiting = { size: 0 };
  return {
    park({ session, deadline }) {
      const client = new Client(session, deadline, tokens, waiting);
      client.begin(alarm);
      return client;
    },
    decline({ session, token, reason }) {
      const holder = tokens.find(session, token);
      if (holder instanceof Client) holder.settle({ status: "declined", reason });
    },
    get size() {
      return waiting.size;
    },
  };
}

/** What the parked clients of one worker share. */
interface Waiting {
  size: number;
}

class Client implements ParkedClient, TokenHolder {
  readonly kind: PrefaceKind = "claim";
  readonly session: string;
  readonly outcome: Promise<ParkOutcome>;
  readonly #deadline: VerdictDeadline;
  readonly #tokens: Tokens;
  readonly #waiting: Waiting;
  readonly #token: LiveToken;
  #resolve: ((outcome: ParkOutcome) => void) | undefined;
  #cancelAlarm: (() => void) | undefined;

  constructor(session: string, deadline: VerdictDeadline, tokens: Tokens, waiting: Waiting) {
    this.session = session;
    this.#deadline = deadline;
    this.#tokens = tokens;
    this.#waiting = waiting;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#token = tokens.create(this);
  }

  begin(alarm: Alarm): void {
    this.#waiting.size++;
    this.#cancelAlarm = alarm(this.#deadline.at, () => this.settle({ status: "timedOut" }));
  }

  get token(): Uint8Array {
    return this.#token.bytes;
  }

  presented(dialBack: Endpoint): void {
    this.settle({ status: "claimed", dialBack });
  }

  queued(msLeft: number): void {
    this.#deadline.extend(msLeft);
  }

  sessionGone(): void {
    this.settle({ status: "sessionGone" });
  }

  settle(outcome: ParkOutcome): void {
    const resolve = this.#resolve;
    if (resolve === undefined) return;
    // Whoever still holds this, a table that has grown old say, must not keep a client by it.
    this.#resolve = undefined;
    this.#cancelAlarm?.();
    this.#cancelAlarm = undefined;
    this.#waiting.size--;
    if (outcome.status !== "claimed") this.over();
    resolve(outcome);
  }

  over(): void {
    this.#tokens.retire(this.#token);
  }
}
