import type { Port } from "../base/port.js";
import { tokenBytes } from "../rendezvous/token.js";
import type { IncomingOffer, ToPrivateDataPlane } from "./messages.js";

/** Token (a character for each byte), announcement id, server name, client, endpoint, milliseconds left, connection id. */
type OfferRow = readonly [string, number, string | undefined, string, number, number, string];

/**
 * The message `offers` on its way to a worker's thread. Each client costs one, and rows of text and numbers pass between
 * threads for two fifths of what objects cost of which each has its token in memory of its own.
 */
export interface OfferRows {
  readonly type: "offerRows";
  readonly session: string;
  readonly rows: readonly OfferRow[];
}

export type ToPrivateWorker = ToPrivateDataPlane | OfferRows;

export function toRows(session: string, offers: readonly IncomingOffer[]): OfferRows {
  return { type: "offerRows", session, rows: offers.map(toRow) };
}

/** The worker's end: hands rows out as the offers they were. */
export function withOffers<Out>(port: Port<ToPrivateWorker, Out>): Port<ToPrivateDataPlane, Out> {
  return {
    post: port.post,
    close: port.close,
    receive: (handler) =>
      port.receive((message) => {
        if (message.type !== "offerRows") return handler(message);
        handler({ type: "offers", session: message.session, offers: message.rows.map(fromRow) });
      }),
  };
}

function toRow(offer: IncomingOffer): OfferRow {
  const { token, announcementId, serverName, client, endpoint, msLeft, connectionId } = offer;
  const text = Buffer.from(token.buffer, token.byteOffset, token.length).toString("latin1");
  return [text, announcementId, serverName, client, endpoint, msLeft, connectionId];
}

function fromRow([text, announcementId, serverName, client, endpoint, msLeft, connectionId]: OfferRow): IncomingOffer {
  // In memory of its own, and not in that of a pool: a message with the token in it would take all of that along.
  const token = new Uint8Array(tokenBytes);
  for (let at = 0; at < tokenBytes; at++) token[at] = text.charCodeAt(at);
  return { token, announcementId, serverName, client, endpoint, msLeft, connectionId };
}
