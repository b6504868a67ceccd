import { type Deadline, deadlineIn, monotonic } from "../base/deadline.js";
import { messageOf, ProxyError } from "../base/errors.js";
import { createRoster, type Roster, type RosterMember } from "../base/roster.js";
import { encodePreface } from "../rendezvous/preface.js";
import type { ProxyHeader } from "../rendezvous/proxy-header.js";
import { connectionIdText } from "../rendezvous/proxy-protocol.js";
import { addressText } from "../transport/address-text.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { Connecting } from "../transport/transport.js";
import type { IncomingOffer, UnparkedHow } from "./messages.js";
import { readRendezvousHeader } from "./rendezvous-header.js";

/** As for a dial-back that a client waits for. */
const dialTimeoutMs = 10_000;
/** One that is closed sooner was not let park. */
const settledMs = 1000;
/** The public proxy retires what has grown old. Should it not, because it is not there any more, that is done here. */
const overdueMs = 60_000;
const longestWaitMs = 2_000_000_000;

/** What the header on a dial-back says of the client that came with it, as an offer would. */
export type ParkedClient = Pick<IncomingOffer, "token" | "announcementId" | "serverName" | "client" | "connectionId">;

/** The dial-backs that are parked at public proxies, or on their way there. */
export interface ParkedDialBacks {
  /** Dials, presents the token, waits for a client. */
  park(session: string, token: Uint8Array): void;
  /** A public proxy alone retires what is parked there: this is for a session that is gone. */
  closeSession(session: string): void;
  closeAll(): void;
}

export interface ParkedDialBacksOptions {
  /** Dials the public proxy of a session. */
  readonly dial: (session: string, deadline: Deadline) => Connecting;
  /** How old the public proxy lets them grow; 0: however old. */
  readonly maxAgeMs: () => number;
  /** What became of each, once. */
  readonly unparked: (session: string, how: UnparkedHow, detail: string | undefined) => void;
  /** A client has come. The dial-back is the callee's, with the header unread again. Must not throw. */
  readonly serve: (session: string, client: ParkedClient, dialBack: Endpoint) => void;
}

interface Place extends RosterMember {
  readonly session: string;
  close(): void;
}

export function createParkedDialBacks(options: ParkedDialBacksOptions): ParkedDialBacks {
  const places: Roster<Place> = createRoster();

  /** The story of one. Never rejects. */
  async function park(session: string, token: Uint8Array): Promise<void> {
    const dialling = options.dial(session, deadlineIn(dialTimeoutMs, "dial_back_failed"));
    const place: Place = { rosterPlace: -1, session, close: () => dialling.cancel() };
    places.add(place);
    let dialBack: Endpoint | undefined;
    let parkedAt = Number.POSITIVE_INFINITY;
    try {
      dialBack = await dialling.connected;
      place.close = () => dialBack?.destroy();
      dialBack.write(encodePreface({ kind: "park", token }));
      parkedAt = monotonic();
      const { header, bytes } = await readRendezvousHeader(dialBack, deadlineIn(longestWait(), "closed_here"));
      const client = clientOf(token, header);
      dialBack.unread(bytes);
      places.delete(place);
      options.unparked(session, "used", undefined);
      options.serve(session, client, dialBack);
    } catch (error) {
      places.delete(place);
      dialBack?.destroy();
      const settled = monotonic() - parkedAt >= settledMs;
      options.unparked(session, settled ? "closed" : "failed", settled ? undefined : messageOf(error));
    }
  }

  function longestWait(): number {
    const maxAgeMs = options.maxAgeMs();
    return maxAgeMs === 0 ? longestWaitMs : Math.min(longestWaitMs, maxAgeMs + overdueMs);
  }

  return {
    park: (session, token) => void park(session, token),
    closeSession(session) {
      for (const place of places.all()) if (place.session === session) place.close();
    },
    closeAll() {
      for (const place of places.all()) place.close();
    },
  };
}

/** Throws `header_invalid` where it does not say which announcement the client came for. */
function clientOf(token: Uint8Array, { source, serverName, connectionId, announcementId }: ProxyHeader): ParkedClient {
  if (announcementId === undefined) throw new ProxyError("header_invalid", "the header names no announcement");
  return {
    token,
    announcementId,
    serverName,
    client: addressText(source ?? { family: "unix" }),
    connectionId: connectionId === undefined ? "" : connectionIdText(connectionId),
  };
}
