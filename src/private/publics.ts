import type { Deadline } from "../base/deadline.js";
import type { Connecting, ResolvedAddress, Transport } from "../transport/transport.js";
import { dialInTurn } from "./dialling.js";
import type { ToPrivateDataPlane } from "./messages.js";

/** The public proxies that this private proxy has a session with, as far as the data plane needs to know them. */
export interface Publics {
  attached(session: PublicFacts): void;
  detached(session: string): void;
  knows(session: string): boolean;
  /** Sessions. */
  readonly size: number;
  /** For the log; empty where the session is gone. */
  nameOf(session: string): string;
  /** How long it waits for a verdict. Undefined where the session is gone. */
  attemptTimeoutMs(session: string): number | undefined;
  /**
   * Dials it: the endpoint that worked last, else the one that is asked for, then the others in their order; refused ones
   * never. Throws `dial_back_failed` or `endpoint_refused`.
   */
  dial(session: string, endpoint: number, deadline: Deadline): Connecting;
}

export type PublicFacts = Omit<Extract<ToPrivateDataPlane, { type: "attached" }>, "type">;

interface Public extends PublicFacts {
  /** The endpoint that worked last. */
  preferred: number | undefined;
  order: DialOrder | undefined;
}

interface DialOrder {
  readonly first: number;
  readonly addresses: readonly ResolvedAddress[];
  /** By address: whose it is. */
  readonly endpoints: readonly number[];
}

export function createPublics(transport: Transport): Publics {
  const sessions = new Map<string, Public>();
  return {
    attached: (facts) => void sessions.set(facts.session, { ...facts, preferred: undefined, order: undefined }),
    detached: (session) => void sessions.delete(session),
    knows: (session) => sessions.has(session),
    get size() {
      return sessions.size;
    },
    nameOf: (session) => sessions.get(session)?.publicProxy ?? "",
    attemptTimeoutMs: (session) => sessions.get(session)?.attemptTimeoutMs,
    dial(session, endpoint, deadline) {
      const known = sessions.get(session);
      const order = known === undefined ? undefined : dialOrder(known, endpoint);
      return dialInTurn(transport, {
        addresses: order?.addresses ?? [],
        deadline,
        code: order?.addresses.length === 0 ? "endpoint_refused" : "dial_back_failed",
        what: `rendezvous with ${known?.publicProxy ?? "a public proxy that is gone"}`,
        worked(position) {
          known!.preferred = order?.endpoints[position];
        },
      });
    },
  };
}

/** Kept, because it is the same for nearly every client. */
function dialOrder(known: Public, offered: number): DialOrder {
  const { endpoints, preferred } = known;
  const first = preferred ?? offered;
  if (known.order?.first === first) return known.order;
  const allowed = [...endpoints.keys()].filter((index) => endpoints[index]!.length > 0);
  const inTurn = allowed.includes(first) ? [first, ...allowed.filter((index) => index !== first)] : allowed;
  known.order = {
    first,
    addresses: inTurn.flatMap((index) => endpoints[index]!),
    endpoints: inTurn.flatMap((index) => endpoints[index]!.map(() => index)),
  };
  return known.order;
}
