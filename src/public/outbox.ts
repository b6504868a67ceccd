import type { FromPublic } from "../mesh/messages.js";
import { type EncodedOffer, encodeOffersMessage, tokenOfOffer } from "../rendezvous/offer-wire.js";

/** Messages a session may leave unread before offers go to others. */
const maxBacklog = 256;

/** Offers of one loop round leave together: one message costs a third of three. */
export interface Outbox {
  enqueue(session: string, offer: EncodedOffer): void;
  cancel(session: string, token: Uint8Array): void;
}

/** `undeliverable` is told of an offer whose session is gone, or does not read what it is sent. */
export function createOutbox(options: {
  linkOf(session: string): { readonly backlog: number; send(message: FromPublic): void } | undefined;
  undeliverable(session: string, token: Uint8Array): void;
}): Outbox {
  const { linkOf, undeliverable } = options;
  let outbox = new Map<string, EncodedOffer[]>();

  function flush(): void {
    const batches = outbox;
    outbox = new Map();
    for (const [session, offers] of batches) {
      linkOf(session)?.send({ type: "encoded", bytes: encodeOffersMessage(offers) });
    }
  }

  return {
    enqueue(session, offer) {
      const link = linkOf(session);
      if (link === undefined || link.backlog > maxBacklog) return undeliverable(session, tokenOfOffer(offer));
      if (outbox.size === 0) setImmediate(flush);
      const offers = outbox.get(session);
      if (offers === undefined) outbox.set(session, [offer]);
      else offers.push(offer);
    },

    cancel(session, token) {
      const queued = outbox.get(session);
      const kept = queued?.filter((offer) => Buffer.compare(tokenOfOffer(offer), token) !== 0);
      if (queued !== undefined && kept !== undefined && kept.length < queued.length) {
        if (kept.length > 0) outbox.set(session, kept);
        else outbox.delete(session);
      } else linkOf(session)?.send({ type: "cancelOffer", token });
    },
  };
}
