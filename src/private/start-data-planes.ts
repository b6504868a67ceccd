import { addClosed, begunOrRefused, createCounters, openNow } from "../base/counters.js";
import type { Log } from "../base/log.js";
import { inThreadPorts, type Port } from "../base/port.js";
import { withOwnToken } from "../rendezvous/token.js";
import type { PrivateSettings } from "../settings/types.js";
import { chooseEngine } from "../transport/choose-engine.js";
import { type WorkerStatus, workerCount } from "../transport/epoll/crew.js";
import { type CrewLines, startCrewPort } from "../transport/epoll/crew-port.js";
import { createNodeTransport } from "../transport/node/transport.js";
import { startPrivateDataPlane } from "./data-plane.js";
import { createDeal } from "./deal.js";
import type {
  FromPrivateDataPlane,
  IncomingOffer,
  PrivateDataPlaneConfig,
  TargetFacts,
  ToPrivateDataPlane,
} from "./messages.js";
import { type ToPrivateWorker, toRows } from "./offer-rows.js";
import { createParkedShare } from "./parked-share.js";
import { clearQueueLoads, createQueueBoard, type QueueLoad, readQueueLoad } from "./queue-board.js";
import { createReplay } from "./replay.js";
import { clearServers, createServerBoard, createServerLoads, readConnections } from "./server-loads.js";
import { ownerOf } from "./target-owner.js";
import type { PrivateWorkerRole } from "./worker.js";

export interface DataPlanesOptions {
  readonly settings: PrivateSettings;
  readonly config: PrivateDataPlaneConfig;
  readonly log: Log;
  /** Tests: every message on one thread goes through a structured clone, as it does between threads. */
  readonly cloneMessages: boolean;
  /** Tests: another entry for the workers. */
  readonly workerEntry: URL | undefined;
}

/** The data planes of a private proxy, however many there are and wherever they run. */
export interface DataPlanes {
  readonly engine: "epoll" | "node";
  /** Why this one: for the log. */
  readonly why: string;
  /** For the control plane. */
  readonly port: Port<FromPrivateDataPlane, ToPrivateDataPlane>;
  readonly counters: readonly SharedArrayBuffer[];
  /** Empty where there are no threads. */
  workers(): readonly (WorkerStatus & { readonly live: number })[];
  /** What the server with this slot has, over all data planes. */
  connections(slot: number): number;
  /** What there is at a target with a cap: `TargetCap.queueId`. */
  queueLoad(queueId: number): QueueLoad;
  /** After the control plane has closed them, or has never had them. */
  stop(): Promise<void>;
}

/**
 * One data plane on this thread for the node engine, one in each worker for epoll. Throws `engine_unavailable`, with nothing
 * left open.
 */
export async function startDataPlanes(options: DataPlanesOptions): Promise<DataPlanes> {
  const { transport } = options.settings;
  const { engine, why } = await chooseEngine(transport.engine);
  const planes =
    engine === "node" ? startOnThisThread(options) : await startWorkers(options, workerCount(transport.workers));
  return { ...planes, engine, why };
}

type Started = Omit<DataPlanes, "engine" | "why">;

function startOnThisThread({ config, cloneMessages }: DataPlanesOptions): Started {
  const [port, dataPort] = inThreadPorts<FromPrivateDataPlane, ToPrivateDataPlane>({ clone: cloneMessages });
  const counters = createCounters();
  const board = createServerBoard(1);
  const queueBoard = createQueueBoard();
  const loads = createServerLoads(board, 0);
  startPrivateDataPlane({ transport: createNodeTransport(), port: dataPort, counters, loads, config, queueBoard });
  return {
    port,
    counters: [counters.buffer],
    workers: () => [],
    connections: (slot) => readConnections(board, slot),
    queueLoad: (queueId) => readQueueLoad(queueBoard, queueId),
    stop: async () => dataPort.close(),
  };
}

async function startWorkers(
  { settings, config, log, workerEntry }: DataPlanesOptions,
  workers: number,
): Promise<Started> {
  const counters = Array.from({ length: workers }, () => createCounters().buffer);
  const board = createServerBoard(workers);
  const replay = createReplay();
  const queueBoard = createQueueBoard();
  /** Of targets with a cap, by announcement id. */
  const owners = new Map<number, number>();
  const deal = createDeal<IncomingOffer>(({ announcementId }) => owners.get(announcementId));
  const parked = createParkedShare(workers);
  const liveOf = (worker: number) => openNow(counters[worker]!);
  /** Offers that each worker has been sent, ever: those that it has not taken up yet are its load too. */
  const sent = counters.map(() => 0);
  const takenUp = (worker: number) => begunOrRefused(counters[worker]!, "offers_crowded");
  const loadOf = (worker: number) => liveOf(worker) + Math.max(0, sent[worker]! - takenUp(worker));
  const crew = await startCrewPort<FromPrivateDataPlane, ToPrivateWorker, ToPrivateDataPlane>({
    entry: workerEntry ?? new URL("./worker.js", import.meta.url),
    workers,
    maxPipes: settings.transport.maxPipes,
    listeners: Array.from({ length: workers }, () => []),
    log,
    role: (worker): PrivateWorkerRole => ({ config, counters: counters[worker]!, board, queueBoard }),
    replay: replay.messages,
    deliver(message, lines) {
      replay.note(message);
      if (message.type === "cancel") return lines.postAll(withOwnToken(message));
      if (message.type === "park") return dealPark(message, lines);
      if (message.type === "detached") parked.sessionGone(message.session);
      if (message.type === "targets") noteOwners(message.targets);
      if (message.type !== "offers") return lines.postAll(message);
      const { session } = message;
      const live = crew.status().map(({ worker, state }) => (state === "running" ? loadOf(worker) : undefined));
      const { dealt, left } = deal(message.offers, live);
      for (const [worker, offers] of dealt) {
        sent[worker]! += offers.length;
        lines.post(worker, toRows(session, offers));
      }
      for (const { token } of left) lines.answer({ type: "declined", session, token, reason: "verdict_refused" });
    },
    intercept(message, lines, worker) {
      if (message.type === "unparked") {
        parked.ended(worker, message.session, message.count);
        // What is begun there without having been dealt.
        if (message.how === "used") sent[worker]! += message.count;
      }
      if (message.type !== "pass") return false;
      const { to, passed, session, client } = message;
      sent[worker]!--;
      if (lines.pass(to, passed, { type: "passed", passed, session, client })) sent[to]!++;
      return true;
    },
    died(worker, lines) {
      clearServers(board, worker);
      clearQueueLoads(queueBoard, worker, workers);
      addClosed(counters[worker]!, liveOf(worker));
      sent[worker] = takenUp(worker);
      for (const [session, count] of parked.died(worker)) lines.answer(unparked(session, count));
    },
  });

  function noteOwners(targets: readonly TargetFacts[]): void {
    owners.clear();
    for (const target of targets) {
      const owner = ownerOf(target, workers);
      if (owner !== undefined) owners.set(target.announcementId, owner);
    }
  }

  function dealPark(
    message: Extract<ToPrivateDataPlane, { type: "park" }>,
    lines: CrewLines<FromPrivateDataPlane, ToPrivateWorker>,
  ): void {
    const { session, tokens } = message;
    const running = new Set(crew.status().flatMap(({ worker, state }) => (state === "running" ? [worker] : [])));
    const { dealt, left } = parked.deal(session, tokens, (worker) => running.has(worker));
    for (const [worker, share] of dealt) lines.post(worker, { ...message, tokens: share });
    if (left > 0) lines.answer(unparked(session, left));
  }

  return {
    port: crew.port,
    counters,
    workers: () => crew.status().map((status) => ({ ...status, live: liveOf(status.worker) })),
    connections: (slot) => readConnections(board, slot),
    queueLoad: (queueId) => readQueueLoad(queueBoard, queueId),
    stop: crew.stop,
  };
}

/** Those whose worker has ended, or for which none was there. */
function unparked(session: string, count: number): FromPrivateDataPlane {
  return { type: "unparked", session, how: "failed", count, detail: "a data-plane worker has ended" };
}
