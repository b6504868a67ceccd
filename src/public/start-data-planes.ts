import { addClosed, createCounters } from "../base/counters.js";
import type { Log } from "../base/log.js";
import { inThreadPorts, type Port } from "../base/port.js";
import { tokenWorker, withOwnToken } from "../rendezvous/token.js";
import type { PublicSettings } from "../settings/types.js";
import { chooseEngine } from "../transport/choose-engine.js";
import type { EndpointAddress } from "../transport/endpoint.js";
import { type WorkerStatus, workerCount } from "../transport/epoll/crew.js";
import { startCrewPort } from "../transport/epoll/crew-port.js";
import { bindForWorkers } from "../transport/epoll/worker-listeners.js";
import type { InheritedListener } from "../transport/inherited.js";
import { createNodeTransport } from "../transport/node/transport.js";
import { clearClientTables, createClientTables, createClientTallies } from "./client-tallies.js";
import { startPublicDataPlane } from "./data-plane.js";
import { clearLoads, createLoadBoard, createLoads, readBegun, readLive, readPooled } from "./loads.js";
import type { FromPublicDataPlane, PublicDataPlaneConfig, ToPublicDataPlane } from "./messages.js";
import { createReplay } from "./replay.js";
import type { PublicWorkerRole } from "./worker.js";

export interface DataPlanesOptions {
  readonly settings: PublicSettings;
  readonly config: PublicDataPlaneConfig;
  readonly log: Log;
  /** Sockets for `tls` and `rendezvous` that another process has opened. */
  readonly inherited: readonly InheritedListener[];
  /** Nobody is accepted until the data planes are told to. */
  readonly holds: boolean;
  /** The sockets are to be handed to another process later; this takes system calls that not every system has. */
  readonly handsOver: boolean;
  /** Tests: every message on one thread goes through a structured clone, as it does between threads. */
  readonly cloneMessages: boolean;
  /** Tests: another entry for the workers. */
  readonly workerEntry: URL | undefined;
}

/** The data planes of a public proxy, however many there are and wherever they run. */
export interface DataPlanes {
  readonly engine: "epoll" | "node";
  /** Why this one: for the log. */
  readonly why: string;
  /** For the control plane. */
  readonly port: Port<FromPublicDataPlane, ToPublicDataPlane>;
  readonly counters: readonly SharedArrayBuffer[];
  readonly clientAddresses: readonly EndpointAddress[];
  readonly rendezvousAddresses: readonly EndpointAddress[];
  /** What another process could take over. */
  readonly inheritable: readonly InheritedListener[];
  /** It has. */
  handedOver(): void;
  /** Parked dial-backs. */
  pooled(): number;
  /** Empty where there are no threads. */
  workers(): readonly (WorkerStatus & { readonly live: number })[];
  /** After the control plane has closed them, or has never had them. */
  stop(): Promise<void>;
}

/**
 * One data plane on this thread for the node engine, one in each worker for epoll. Resolves when they listen; throws
 * `address_in_use`, `address_unavailable` or `engine_unavailable`, with nothing left open.
 */
export async function startDataPlanes(options: DataPlanesOptions): Promise<DataPlanes> {
  const { transport } = options.settings;
  const { engine, why } = await chooseEngine(transport.engine);
  const planes =
    engine === "node" ? await startOnThisThread(options) : await startWorkers(options, workerCount(transport.workers));
  return { ...planes, engine, why };
}

type Started = Omit<DataPlanes, "engine" | "why">;

async function startOnThisThread(options: DataPlanesOptions): Promise<Started> {
  const { settings, config, cloneMessages, inherited, holds } = options;
  const uses = { rendezvous: settings.rendezvous.listen, tls: settings.tls.listen };
  const isOurs = options.handsOver || inherited.length > 0;
  const sockets = isOurs ? await bindForWorkers(1, uses, inherited) : undefined;
  const given = sockets?.byWorker[0];
  const listen = (use: "tls" | "rendezvous") =>
    given?.filter((one) => one.use === use).map(({ address }) => address) ?? settings[use].listen;
  const [port, dataPort] = inThreadPorts<FromPublicDataPlane, ToPublicDataPlane>({ clone: cloneMessages });
  const counters = createCounters();
  const board = createLoadBoard(1);
  const { clientAddresses, rendezvousAddresses } = await startPublicDataPlane({
    transport: createNodeTransport(given),
    port: dataPort,
    counters,
    config,
    clientListen: listen("tls"),
    rendezvousListen: listen("rendezvous"),
    holds,
    worker: 0,
    loads: createLoads(board, 0),
    tallies: createClientTallies(createClientTables(1, settings.limits.connections), 0),
  });
  return {
    port,
    counters: [counters.buffer],
    clientAddresses: sockets?.bound("tls") ?? clientAddresses,
    rendezvousAddresses: sockets?.bound("rendezvous") ?? rendezvousAddresses,
    inheritable: sockets?.inheritable ?? [],
    handedOver: () => sockets?.handedOver(),
    pooled: () => readPooled(board),
    workers: () => [],
    async stop() {
      dataPort.close();
      for (const { closed } of given ?? []) closed();
    },
  };
}

async function startWorkers(options: DataPlanesOptions, workers: number): Promise<Started> {
  const { settings, log } = options;
  const board = createLoadBoard(workers);
  const clientTables = createClientTables(workers, settings.limits.connections);
  const counters = Array.from({ length: workers }, () => createCounters().buffer);
  /** Begun connections that were passed to a worker which was gone by then. */
  const lost = createCounters();
  /** Begun connections that each worker was sent: those that it has not taken up die with it. */
  const sent = counters.map(() => 0);
  const replay = createReplay();
  const uses = { rendezvous: settings.rendezvous.listen, tls: settings.tls.listen };
  const listeners = await bindForWorkers(workers, uses, options.inherited);
  const crew = await startCrewPort<FromPublicDataPlane, ToPublicDataPlane>({
    entry: options.workerEntry ?? new URL("./worker.js", import.meta.url),
    workers,
    maxPipes: settings.transport.maxPipes,
    listeners: listeners.byWorker,
    log,
    role: (worker): PublicWorkerRole => ({
      config: options.config,
      holds: options.holds,
      counters: counters[worker]!,
      board,
      clientTables,
    }),
    replay: replay.messages,
    deliver(message, lines) {
      replay.note(message);
      // Only the worker that made a token knows it.
      if (message.type === "declined" || message.type === "queued")
        lines.post(tokenWorker(message.token), withOwnToken(message));
      else lines.postAll(message);
    },
    intercept(message, lines) {
      if (message.type !== "pass") return false;
      const { to, passed, as } = message;
      const isThere = lines.pass(to, passed, { type: "passed", passed, as });
      if (as.kind !== "begun") return true;
      if (isThere) sent[to]!++;
      else lost.add("closed", 1);
      return true;
    },
    died(worker) {
      const underWay = sent[worker]! - readBegun(board)[worker]!;
      addClosed(counters[worker]!, readLive(board)[worker]! + underWay);
      sent[worker] = 0;
      clearLoads(board, worker);
      clearClientTables(clientTables, worker);
    },
  });
  return {
    port: crew.port,
    counters: [...counters, lost.buffer],
    clientAddresses: listeners.bound("tls"),
    rendezvousAddresses: listeners.bound("rendezvous"),
    inheritable: listeners.inheritable,
    handedOver: listeners.handedOver,
    pooled: () => readPooled(board),
    workers() {
      const live = readLive(board);
      return crew.status().map((status) => ({ ...status, live: live[status.worker]! }));
    },
    stop: crew.stop,
  };
}
