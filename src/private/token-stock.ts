import { tokenWorker } from "../rendezvous/token.js";

/** Tokens that are about to expire are not used: presenting them takes a moment. */
const expiryMarginMs = 5000;
/** An honest public proxy grants twice what is wanted. */
const maxStock = 16_384;

/** The tokens for dial-backs to be parked at one public proxy, until they are used or expire. */
export interface TokenStock {
  add(tokens: readonly Uint8Array[], msLeft: number): void;
  /** So many at most, from the public proxy's workers in turn: each of them should have some parked. */
  take(count: number): Uint8Array[];
}

interface Stocked {
  readonly token: Uint8Array;
  readonly until: number;
}

export function createTokenStock(now: () => number): TokenStock {
  /** By the worker that made them, in the order in which they came. */
  const byWorker = new Map<number, Stocked[]>();
  let stocked = 0;

  function next(tokens: Stocked[]): Uint8Array | undefined {
    for (;;) {
      const oldest = tokens.shift();
      if (oldest === undefined) return undefined;
      stocked--;
      if (oldest.until > now() + expiryMarginMs) return oldest.token;
    }
  }

  return {
    add(tokens, msLeft) {
      const until = now() + msLeft;
      for (const received of tokens) {
        if (stocked >= maxStock) return;
        // In memory of its own: a view keeps all that was received with it, and that may be megabytes for one token.
        const token = new Uint8Array(received);
        const worker = tokenWorker(token);
        const own = byWorker.get(worker);
        if (own === undefined) byWorker.set(worker, [{ token, until }]);
        else own.push({ token, until });
        stocked++;
      }
    },
    take(count) {
      const taken: Uint8Array[] = [];
      while (taken.length < count && byWorker.size > 0) {
        // Whose turn it was comes last from here on.
        const [[worker, tokens]] = byWorker as unknown as [[number, Stocked[]]];
        byWorker.delete(worker);
        const token = next(tokens);
        if (token === undefined) continue;
        taken.push(token);
        byWorker.set(worker, tokens);
      }
      return taken;
    },
  };
}
