import type { Address } from "../base/address.js";
import type { Counters } from "../base/counters.js";
import { monotonic } from "../base/deadline.js";
import { ProxyError, stackOf } from "../base/errors.js";
import { type HalfOpenSet, halfOpenSet } from "../base/half-open.js";
import type { Port } from "../base/port.js";
import type { ReasonCode } from "../base/reasons.js";
import type { Preface } from "../rendezvous/preface.js";
import type { Endpoint, EndpointAddress, Splice } from "../transport/endpoint.js";
import type { Exchange } from "../transport/epoll/boot.js";
import type { Transport } from "../transport/transport.js";
import type { ClientTallies } from "./client-tallies.js";
import { serveClient } from "./connection.js";
import { receiveDialBack, receivePassedDialBack } from "./dial-back.js";
import { type Listeners, startListeners } from "./listeners.js";
import { createLiveConnections, type LiveConnection, type LiveConnections } from "./live-connections.js";
import type { Loads } from "./loads.js";
import type { BegunConnection, FromPublicDataPlane, PublicDataPlaneConfig, ToPublicDataPlane } from "./messages.js";
import { type Announcer, createNames, type Names } from "./names.js";
import { createOffences, type Offences } from "./offences.js";
import { createOffering, type Offering } from "./offering.js";
import { createParking } from "./parking.js";
import { createPassing } from "./passing.js";
import { createPool, type Pool } from "./pool.js";
import { type PreambleRules, preambleRules } from "./preamble.js";
import { type Claim, createTokens } from "./tokens.js";
import { createTurns, type Turns } from "./turns.js";

/** Unauthenticated dial-backs open at once: forty bytes each are awaited, so this bounds descriptors, not memory. */
const maxHalfOpenDialBacks = 4096;

/** What the story of a client needs of the data plane. */
export interface ClientPlane {
  readonly config: PublicDataPlaneConfig;
  readonly preamble: PreambleRules;
  readonly names: Names;
  readonly connections: LiveConnections;
  readonly halfOpenHellos: HalfOpenSet;
  /** Counts a client among the waiting ones; returns the way out. Throws `parking_full`. */
  enterWaiting(): () => void;
  /** Resolves when a matching announcement came, `until` (monotonic ms) is reached, or the client is gone. */
  hold(connection: LiveConnection, serverName: string | undefined, until: number): Promise<void>;
  readonly turns: Turns;
  readonly pool: Pool;
  /** Gives the client to a worker that has a dial-back for it, where this one has none. False: it stays. */
  passOn(connection: LiveConnection, bytes: Uint8Array, announcer: Announcer): boolean;
  readonly offering: Offering;
  splice(client: Endpoint, dialBack: Endpoint): Splice;
  fault(error: unknown): void;
}

/** What the story of a dial-back needs. */
export interface DialBackPlane {
  readonly config: PublicDataPlaneConfig;
  readonly offences: Offences;
  readonly halfOpenDialBacks: HalfOpenSet;
  claim(preface: Preface, dialBack: Endpoint): Claim;
  dialBackRefused(reason: ReasonCode, ip: string): void;
}

export interface PublicDataPlaneOptions {
  readonly transport: Transport;
  readonly port: Port<ToPublicDataPlane, FromPublicDataPlane>;
  readonly counters: Counters;
  readonly config: PublicDataPlaneConfig;
  readonly clientListen: readonly Address[];
  readonly rendezvousListen: readonly Address[];
  /** The first byte of this plane's tokens. */
  readonly worker: number;
  readonly loads: Loads;
  readonly tallies: ClientTallies;
  /** Where there are several workers: the others. */
  readonly exchange?: Exchange | undefined;
  /** It accepts nobody until it is told to: another process does so far. */
  readonly holds?: boolean;
  /** It takes the place of a worker that ended a moment ago. */
  readonly replaces?: boolean;
}

/** Where it listens; nowhere yet where it holds back. */
export interface PublicDataPlane {
  readonly clientAddresses: readonly EndpointAddress[];
  readonly rendezvousAddresses: readonly EndpointAddress[];
}

/**
 * Composes listeners, stories, parking and the name replica, and obeys the control plane's messages. Resolves when it
 * listens; throws `address_in_use` or `address_unavailable`, with nothing left open.
 */
export async function startPublicDataPlane(options: PublicDataPlaneOptions): Promise<PublicDataPlane> {
  const { transport, port, counters, loads, exchange } = options;
  const workers = exchange?.workers ?? 1;
  let config = options.config;
  let preamble = preambleRules(config);
  const names = createNames({ now: monotonic });
  const tokens = createTokens({ worker: options.worker, now: monotonic, replaces: options.replaces === true });
  const parking = createParking({ tokens, alarm: transport.alarm });
  const pool = createPool({
    tokens,
    now: monotonic,
    alarm: transport.alarm,
    worker: options.worker,
    workers,
    config: () => config,
    grant: (session, granted, msLeft) =>
      port.post({ type: "grant", session, tokens: Buffer.concat(granted).toString("latin1"), msLeft }),
    count: loads.countPooled,
    counted: (session) => loads.of(session).pooled,
  });
  const turns = createTurns({
    now: monotonic,
    names,
    loads,
    config: () => config,
    suspect: (session) => port.post({ type: "suspect", session }),
  });
  const offences = createOffences({ now: monotonic, workers });
  const halfOpenHellos = halfOpenSet(Math.ceil(config.maxHalfOpenHellos / workers));
  const halfOpenDialBacks = halfOpenSet(Math.ceil(maxHalfOpenDialBacks / workers));
  let closing = false;
  const connections = createLiveConnections({
    loads,
    tallies: options.tallies,
    counters,
    now: monotonic,
    reports: () => config.reportConnections,
    ended: (record) => port.post({ type: "ended", record }),
  });
  const passing = exchange && createPassing({ exchange, worker: options.worker, loads, port, connections });

  const plane: ClientPlane & DialBackPlane = {
    get config() {
      return config;
    },
    get preamble() {
      return preamble;
    },
    names,
    turns,
    connections,
    get halfOpenHellos() {
      return halfOpenHellos;
    },
    halfOpenDialBacks,
    offences,
    enterWaiting() {
      if (loads.waiting >= config.maxParked) throw new ProxyError("parking_full");
      loads.countWaiting(1);
      return () => loads.countWaiting(-1);
    },
    hold(connection, serverName, until) {
      return new Promise((resolve) => {
        const done = () => {
          cancelAlarm();
          forget();
          resolve();
        };
        const forget = names.onAnnounced(serverName, done);
        const cancelAlarm = transport.alarm(until, done);
        connection.whenGone(done);
      });
    },
    pool,
    offering: createOffering(parking, port),
    passOn(connection, bytes, announcer) {
      const { session } = announcer.session;
      const passed = passing !== undefined && pool.isEmpty(session) && passing.begun(connection, bytes, session);
      if (passed) turns.over(announcer, false);
      return passed;
    },
    splice: (client, dialBack) =>
      transport.splice(client, dialBack, {
        idleTimeoutMs: config.idleTimeoutMs,
        halfClosedTimeoutMs: config.halfClosedTimeoutMs,
        moved,
      }),
    fault: (error) => port.post({ type: "fault", message: stackOf(error) }),
    claim: (preface, dialBack) =>
      passing?.dialBack(preface, dialBack) ?? tokens.present(preface.kind, preface.token, dialBack),
    dialBackRefused(reason, peer) {
      // Those that are given up because everything is.
      if (closing) return;
      counters.refuse(reason);
      port.post({ type: "dialBackRefused", reason, peer });
    },
  };

  function moved(direction: "ab" | "ba", bytes: number): void {
    counters.add(direction === "ab" ? "bytesUp" : "bytesDown", bytes);
  }

  function acceptClient(client: Endpoint): void {
    if (passing?.newClient(client) !== true) takeClient(client);
  }

  function takeClient(client: Endpoint, begun?: BegunConnection): void {
    if (closing) connections.open(client, begun).refuse("stopping");
    // Who was passed on was let in before: its place may be another client's by now.
    else if (begun === undefined && loads.live >= config.maxConnections)
      connections.open(client, begun).refuse("connections_full");
    else void serveClient(client, plane, begun);
  }

  let listeners: Listeners | undefined;
  /** Nobody could park here any more. */
  let isDeaf = false;

  async function listen(): Promise<void> {
    listeners = await startListeners({
      transport,
      // The other workers' clients count among the descriptors, too; each has about as many as this one.
      clients: { listen: options.clientListen, accept: acceptClient, owes: () => connections.unmet * workers },
      rendezvous: { listen: options.rendezvousListen, accept: (dialBack) => void receiveDialBack(dialBack, plane) },
      starved: (listener, state, detail) => port.post({ type: "starved", listener, state, detail }),
    });
    if (closing) await listeners.close();
  }

  if (options.holds !== true) await listen();

  async function close(): Promise<void> {
    closing = true;
    const closed = listeners?.close();
    connections.cutAll();
    pool.close();
    tokens.close();
    halfOpenDialBacks.giveUpAll();
    await Promise.all([closed, new Promise<void>((resolve) => connections.whenEmpty(resolve))]);
    port.post({ type: "closed" });
  }

  names.configure(config);
  port.receive((message) => {
    switch (message.type) {
      case "configure":
        config = message.config;
        preamble = preambleRules(config);
        names.configure(config);
        pool.configure();
        return;
      case "attached":
        names.attached(message.session);
        loads.attached(message.session.session, message.session.slot);
        offences.attached(message.session.session, message.session.ip);
        return;
      case "announced":
        for (const announced of message.names) names.announced(announced);
        return;
      case "withdrawn":
        names.withdrawn(message.session, message.announcementId, message.patterns);
        return;
      case "sessionLeaving":
        names.sessionLeft(message.session);
        pool.sessionGone(message.session);
        return;
      case "pool":
        if (!isDeaf) pool.ask(message.session, message);
        return;
      case "queued":
        tokens.find(message.session, message.token)?.queued(message.msLeft);
        return;
      case "sessionGone":
        names.sessionGone(message.session);
        offences.detached(message.session);
        tokens.sessionGone(message.session);
        pool.sessionGone(message.session);
        loads.sessionGone(message.session);
        turns.outliers.sessionGone(message.session);
        if (message.splices === "cut") connections.cutSession(message.session);
        return;
      case "declined":
        parking.decline(message);
        return;
      case "suspected":
        turns.outliers.suspected(message.session);
        // What it has parked is no better than itself.
        pool.drop(message.session);
        return;
      case "answers":
        turns.outliers.answers(message.session);
        return;
      case "mark":
        port.post({ type: "marked", mark: message.mark });
        return;
      case "passed": {
        const endpoint = exchange?.take(message.passed);
        if (endpoint === undefined) return;
        const { as } = message;
        if (as.kind === "begun") loads.arrived(as.begun.session);
        if (as.kind === "dialBack") receivePassedDialBack(endpoint, as.preface, plane);
        else takeClient(endpoint, as.kind === "begun" ? as.begun : undefined);
        return;
      }
      case "accept":
        names.started();
        listen().catch((error: unknown) => port.post({ type: "fault", message: stackOf(error) }));
        return;
      case "quiesce":
        void listeners?.closeClients();
        connections.whenAllMet(() => port.post({ type: "quiet" }));
        return;
      case "deafen":
        isDeaf = true;
        void listeners?.close();
        pool.close();
        port.post({ type: "deaf" });
        return;
      case "drain":
        void listeners?.closeClients();
        connections.whenEmpty(() => port.post({ type: "drained" }));
        return;
      case "close":
        void close();
        return;
    }
  });

  const { clientAddresses = [], rendezvousAddresses = [] } = listeners ?? {};
  return { clientAddresses, rendezvousAddresses };
}
