import type { Counters } from "../base/counters.js";
import { type Deadline, deadlineIn, monotonic, msLeft, sooner } from "../base/deadline.js";
import { ProxyError, stackOf } from "../base/errors.js";
import type { Port } from "../base/port.js";
import { encodeVerdict } from "../rendezvous/verdict.js";
import type { Endpoint, Splice } from "../transport/endpoint.js";
import type { Exchange } from "../transport/epoll/boot.js";
import type { Connecting, Transport } from "../transport/transport.js";
import { answerOffer } from "./connection.js";
import { createLiveRendezvous, type LiveRendezvous } from "./live-rendezvous.js";
import type { FromPrivateDataPlane, IncomingOffer, PrivateDataPlaneConfig, ToPrivateDataPlane } from "./messages.js";
import { createParkedDialBacks, type ParkedClient } from "./parked-dial-backs.js";
import { createPublics } from "./publics.js";
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
/**
 * How long clients are still served that were offered before a public proxy heard that this private proxy is leaving: a
 * round trip on any link that could carry them, and some work on the way.
 */
const lastOffersMs = 1000;
/** What is left of an offer's time for the verdict to travel, so that a target that never answers is a decline. */
const verdictTravelShare = 0.1;

/** What the story of a rendezvous needs of the data plane. */
export interface RendezvousPlane {
  /** Throws `name_not_served`, `shutting_down`, or `target_unreachable` where all of it is known to be down. */
  targetOf(rendezvous: Pick<LiveRendezvous, "session" | "offer">): Target;
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
  /** Where there are several data planes: the others, which share the offers of a session with this one. */
  readonly worker?: number;
  readonly exchange?: Exchange | undefined;
  /** Where it notes how much there is at targets with a cap, for the status. */
  readonly queueBoard?: SharedArrayBuffer;
}

/** Composes targets, dialling and stories, and obeys the control plane's messages. It listens nowhere. */
export function startPrivateDataPlane(options: PrivateDataPlaneOptions): void {
  const { transport, port, counters, loads, exchange } = options;
  let { config } = options;
  const share = Math.ceil(maxUnansweredOffers / (exchange?.workers ?? 1));
  const maxUnanswered = Math.max(honestUnansweredOffers, share);
  /** Until when clients are served; before that, only those of sessions that were there when the drain began. */
  let lastOffersUntil = Number.POSITIVE_INFINITY;
  const targets = createTargets(loads);
  const queues = createTargetQueues({
    now: monotonic,
    alarm: transport.alarm,
    note: writeQueueLoads(options.queueBoard ?? createQueueBoard()),
  });
  const publics = createPublics(transport);
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
    targetOf({ session, offer }) {
      const isLate = monotonic() >= lastOffersUntil;
      if (isLate || (lastOffersUntil < Number.POSITIVE_INFINITY && !publics.knows(session)))
        throw new ProxyError("shutting_down");
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
      if (parked === undefined) return publics.dial(session, offer.endpoint, deadline);
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
    dial: (session, deadline) => publics.dial(session, 0, deadline),
    maxAgeMs: () => config.pooledMaxAgeMs,
    unparked: (session, how, detail) => port.post({ type: "unparked", session, how, count: 1, detail }),
    serve(session, client, dialBack) {
      const owner = targets.ownerOf(client.announcementId, exchange?.workers ?? 1);
      if (exchange === undefined || owner === undefined || owner === options.worker)
        serveParked(session, client, dialBack);
      else passToOwner(exchange, owner, session, client, dialBack);
    },
  });

  function serveParked(session: string, client: ParkedClient, dialBack: Endpoint): void {
    if (live.unanswered(session) >= maxUnanswered) {
      counters.refuse("offers_crowded");
      dialBack.end(Uint8Array.of(encodeVerdict("verdict_refused")));
      return;
    }
    void answerOffer(openParked(session, client, dialBack), plane);
  }

  function openParked(session: string, client: ParkedClient, dialBack?: Endpoint): LiveRendezvous {
    const msLeft = Math.min(publics.attemptTimeoutMs(session) ?? maxOfferMs, maxOfferMs);
    const offer = { ...client, endpoint: 0, msLeft };
    const parked = dialBack === undefined ? {} : { parked: dialBack };
    return live.open({ session, publicProxy: publics.nameOf(session), offer, ...parked });
  }

  /**
   * A target with a cap has one owner, who alone can count. While that one is not there the client is declined. What is not
   * given is opened here all the same: the main thread counts it as this worker's until it is.
   */
  function passToOwner(to: Exchange, owner: number, session: string, client: ParkedClient, dialBack: Endpoint): void {
    const given = to.give(dialBack, owner);
    if (given.status === "given") port.post({ type: "pass", to: owner, passed: given.passed, session, client });
    else if (given.status === "left") openParked(session, client).refuse(new ProxyError("offer_cancelled"));
    else
      openParked(session, client, dialBack).refuse(
        new ProxyError("verdict_refused", "the thread that serves this target is being replaced"),
      );
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
    const believed = { ...offer, msLeft: Math.min(offer.msLeft, maxOfferMs) };
    void answerOffer(live.open({ session, publicProxy: publics.nameOf(session), offer: believed }), plane);
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
      case "attached":
        publics.attached(message);
        return;
      case "detached":
        publics.detached(message.session);
        parked.closeSession(message.session);
        return;
      case "passed": {
        const dialBack = exchange?.take(message.passed);
        if (dialBack !== undefined) serveParked(message.session, message.client, dialBack);
        return;
      }
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
        lastOffersUntil = monotonic() + (publics.size > 0 ? lastOffersMs : 0);
        transport.alarm(lastOffersUntil, () => live.whenEmpty(() => port.post({ type: "drained" })));
        return;
      case "close":
        lastOffersUntil = 0;
        parked.closeAll();
        live.cutAll();
        live.whenEmpty(() => port.post({ type: "closed" }));
        return;
    }
  });
}
