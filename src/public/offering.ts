import { msLeft } from "../base/deadline.js";
import type { Port } from "../base/port.js";
import { encodeOffer } from "../rendezvous/offer-wire.js";
import { addressText } from "../transport/address-text.js";
import type { Turn } from "./attempt.js";
import type { FromPublicDataPlane, ToPublicDataPlane } from "./messages.js";
import type { ParkedClient, Parking } from "./parking.js";
import type { VerdictDeadline } from "./verdict-deadline.js";

/** Clients are parked and offered to a private proxy, which is to dial back for them. */
export interface Offering {
  /** Parks the client and sends the offer. */
  offer(turn: Turn, deadline: VerdictDeadline): ParkedClient;
  /** Takes the offer back: the dial-back need not be made any more. */
  cancel(turn: Turn, parked: ParkedClient): void;
}

export function createOffering(
  parking: Parking,
  port: Pick<Port<ToPublicDataPlane, FromPublicDataPlane>, "post">,
): Offering {
  return {
    offer({ connection, hello, announcer }, deadline) {
      const { session } = announcer.session;
      const parked = parking.park({ session, deadline });
      port.post({
        type: "offer",
        session,
        offer: encodeOffer({
          token: parked.token,
          announcementId: announcer.announcementId,
          serverName: hello.serverName,
          alpn: hello.alpn,
          client: addressText(connection.source),
          msLeft: Math.floor(msLeft(deadline)),
          connectionId: connection.id,
        }),
      });
      return parked;
    },
    cancel({ announcer }, { token }) {
      port.post({ type: "cancel", session: announcer.session.session, token });
    },
  };
}
