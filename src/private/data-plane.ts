import type { Counters } from "../base/counters.js";
import { type Deadline, deadlineIn, monotonic, msLeft, sooner } from "../base/deadline.js";
import { ProxyError, stackOf } from "../base/errors.js";
import type { Port } from "../base/port.js";
import type { Endpoint, Splice } from "../transport/endpoint.js";
import type { Connecting, ResolvedAddress, Transport } from "../transport/transport.js";
import { answerOffer } from "./connection.js";
import { dialInTurn } from "./dialling.js";
import { createLiveRendezvous, type LiveRendezvous } from "./live-rendezvous.js";
import type { FromPrivateDataPlane, IncomingOffer, PrivateDataPlaneConfig, ToPrivateDataPlane } from "./messages.js";
import { createParkedDialBacks } from "./parked-dial-backs.js";
import { createQueueBoard, writeQueueLoads } from "./queue-board.js";
import { type Reaching, reachAfter, reaching } from "./queued-reach.js";
import { reachServer } from "./reaching.js";
import type { ServerLoads } from "./server-loads.js";
import { createTargetQueues } from "./target-queues.js";
import { createTargets, type Target } from "./targets.js";

/** An offer that says it is good for longer is given up by then: what it holds open must not depend on who made it. */
const maxOfferMs = 60_000;
/** Offers of one session that may be under way, shared out among the data planes. */
const maxUnansweredOffers = 2048;
/** What an honest public proxy stops at (`Welcome.limits`). They may all have come to one data plane. */
const honestUnansweredOffers = 1024;
/** What is left of an offer's time for the verdict to travel, so that a target that never answers is a decline. */
const verdictTravelShare = 0.1;

/** What the story of a rendezvous needs of the data plane. */
export interface RendezvousPlane {
  /** Throws `name_not_served`, `shutting_down`, or `target_unreachable` where all of it is known to be down. */
  targetOf(offer: IncomingOffer): Target;
  /**
   * Takes a place at the target, or in its queue, which is the rendezvous's; then dials the server that balancing chooses, or
   * the next ones. Throws `target_queue_full`; what is returned throws `target_queue_timeout` or `target_unreachable`.
   */
  connectTarget(rendezvous: LiveRendezvous, target: Target, deadline: Deadline): Reaching;
  /** Dials the public proxy that made the offer. Throws `dial_back_failed` or `endpoint_refused`. */
  dialBack(rendezvous: LiveRendezvous, deadline: Deadline): Connecting;
  splice(dialBack: Endpoint, target: Endpoint): Splice;
  fault(error: unknown): void;
}

export interface PrivateDataPlaneOptions {
  readonly transport: Transport;
  readonly port: Port<ToPrivateDataPlane, FromPrivateDataPlane>;
  readonly counters: Counters;
  readonly loads: ServerLoads;
  readonly config: PrivateDataPlaneConfig;
  /** How many data planes share the offers of a session; 1 where it is not said. */
  readonly workers?: number;
  /** Where it notes how much there is at targets with a cap, for the status. */
  readonly queueBoard?: SharedArrayBuffer;
}

/** A mesh session's endpoints. `preferred` is the one that worked last. */
interface SessionEndpoints {
  readonly publicProxy: string;
  readonly attemptTimeoutMs: number;
  readonly endpoints: readonly (readonly ResolvedAddress[])[];
  preferred: number | undefined;
  order: DialOrder | undefined;
}

interface DialOrder {
  readonly first: number;
  readonly addresses: readonly ResolvedAddress[];
  /** By address: whose it is. */
  readonly endpoints: readonly number[];
}

/** Composes targets, dialling and stories, and obeys the control plane's messages. It listens nowhere. */
export function startPrivateDataPlane(options: PrivateDataPlaneOptions): void {
  const { transport, port, counters, loads } = options;
  let { config } = options;
  const share = Math.ceil(maxUnansweredOffers / (options.workers ?? 1));
  const maxUnanswered = Math.max(honestUnansweredOffers, share);
  let draining = false;
  const targets = createTargets(loads);
  const queues = createTargetQueues({
    now: monotonic,
    alarm: transport.alarm,
    note: writeQueueLoads(options.queueBoard ?? createQueueBoard()),
  });
  const sessions = new Map<string, SessionEndpoints>();
  const live = createLiveRendezvous({
    counters,
    now: monotonic,
    ended(record) {
      if (config.reportConnections) port.post({ type: "ended", record });
    },
    declined: (session, token, reason) => port.post({ type: "declined", session, token, reason }),
    queued: (session, token, msLeft) => port.post({ type: "queued", session, token, msLeft }),
    left: (server) => loads.count(server, -1),
  });

  const plane: RendezvousPlane = {
    targetOf(offer) {
      if (draining) throw new ProxyError("shutting_down");
      const target = targets.of(offer);
      if (target.servers.some(({ up }) => up)) return target;
      throw new ProxyError("target_unreachable", `target ${target.address} is down`);
    },
    connectTarget(rendezvous, target, deadline) {
      const place = queues.enter(target);
      rendezvous.place = place;
      if (place?.wait === undefined) {
        const travel = deadlineIn(msLeft(deadline) * (1 - verdictTravelShare), "connect_timeout");
        const dialled = sooner(deadlineIn(target.connectTimeoutMs, "connect_timeout"), travel);
        return reaching(dialTarget(rendezvous, target, dialled), deadline);
      }
      rendezvous.queued(place.wait.maxMs + target.connectTimeoutMs);
      // The offer's own time does not count any more: the public proxy has been told.
      return reachAfter(place, place.wait, deadline, () => {
        const dialled = deadlineIn(target.connectTimeoutMs, "connect_timeout");
        return reaching(dialTarget(rendezvous, target, dialled), dialled);
      });
    },
    dialBack({ session, offer, parked }, deadline) {
      if (parked === undefined) return dialPublic(session, offer.endpoint, deadline);
      return { connected: Promise.resolve(parked), cancel: () => parked.destroy() };
    },
    splice: (dialBack, target) =>
      transport.splice(dialBack, target, {
        idleTimeoutMs: config.idleTimeoutMs,
        halfClosedTimeoutMs: config.halfClosedTimeoutMs,
        moved,
      }),
    fault: (error) => port.post({ type: "fault", message: stackOf(error) }),
  };

  function dialTarget(rendezvous: LiveRendezvous, target: Target, deadline: Deadline): Connecting {
    return reachServer(transport, {
      target,
      client: rendezvous.offer.client,
      deadline,
      loadOf: loads.of,
      trying(server) {
        if (rendezvous.server !== undefined) loads.count(rendezvous.server, -1);
        rendezvous.server = server;
        rendezvous.target = server.address;
        loads.count(server, 1);
      },
    });
  }

  const parked = createParkedDialBacks({
    dial: (session, deadline) => dialPublic(session, 0, deadline),
    maxAgeMs: () => config.pooledMaxAgeMs,
    unparked: (session, how, detail) => port.post({ type: "unparked", session, how, count: 1, detail }),
    serve(session, { token, client, endpoint: dialBack }) {
      const known = sessions.get(session);
      const offer = { ...client, token, endpoint: 0, msLeft: known?.attemptTimeoutMs ?? maxOfferMs };
      void answerOffer(live.open({ session, publicProxy: known?.publicProxy ?? "", offer, parked: dialBack }), plane);
    },
  });

  function dialPublic(session: string, endpoint: number, deadline: Deadline): Connecting {
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
  }

  function moved(direction: "ab" | "ba", bytes: number): void {
    counters.add(direction === "ab" ? "bytesUp" : "bytesDown", bytes);
  }

  function take(session: string, offer: IncomingOffer): void {
    if (live.unanswered(session) >= maxUnanswered) {
      // Without a log line: whoever floods offers must not flood the log too.
      counters.refuse("offers_crowded");
      port.post({ type: "declined", session, token: offer.token, reason: "verdict_refused" });
      return;
    }
    const publicProxy = sessions.get(session)?.publicProxy ?? "";
    const believed = { ...offer, msLeft: Math.min(offer.msLeft, maxOfferMs) };
    void answerOffer(live.open({ session, publicProxy, offer: believed }), plane);
  }

  port.receive((message) => {
    switch (message.type) {
      case "configure":
        config = message.config;
        return;
      case "targets":
        targets.replace(message.targets);
        queues.follow(message.targets);
        return;
      case "attached": {
        const { session, publicProxy, endpoints, attemptTimeoutMs } = message;
        sessions.set(session, { publicProxy, endpoints, attemptTimeoutMs, preferred: undefined, order: undefined });
        return;
      }
      case "detached":
        sessions.delete(message.session);
        parked.closeSession(message.session);
        return;
      case "park":
        for (const token of message.tokens) parked.park(message.session, token);
        return;
      case "offers":
        for (const offer of message.offers) take(message.session, offer);
        return;
      case "cancel":
        live.cancel(message.token);
        return;
      case "drain":
        draining = true;
        live.whenEmpty(() => port.post({ type: "drained" }));
        return;
      case "close":
        draining = true;
        parked.closeAll();
        live.cutAll();
        live.whenEmpty(() => port.post({ type: "closed" }));
        return;
    }
  });
}

/**
 * The endpoint that worked last, else the one the offer names, then the others in their order; refused ones never. Kept,
 * because it is the same for nearly every client.
 */
function dialOrder(session: SessionEndpoints, offered: number): DialOrder {
  const { endpoints, preferred } = session;
  const first = preferred ?? offered;
  if (session.order?.first === first) return session.order;
  const allowed = [...endpoints.keys()].filter((index) => endpoints[index]!.length > 0);
  const inTurn = allowed.includes(first) ? [first, ...allowed.filter((index) => index !== first)] : allowed;
  session.order = {
    first,
    addresses: inTurn.flatMap((index) => endpoints[index]!),
    endpoints: inTurn.flatMap((index) => endpoints[index]!.map(() => index)),
  };
  return session.order;
}
