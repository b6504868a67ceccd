import { availableParallelism } from "node:os";
import { monotonic } from "../../base/deadline.js";
import { ProxyError, stackOf } from "../../base/errors.js";
import type { Log } from "../../base/log.js";
import {
  assign,
  closeIfOwned,
  closeOwnedBy,
  createDescriptorTable,
  createOwnership,
  type Owner,
  ownerOfWorker,
} from "./ownership.js";
import { startThread, type Thread } from "./thread.js";
import type { WorkerListener } from "./worker-listeners.js";

/** A token's first byte names its worker. */
const maxWorkers = 256;

/** How long a worker's place stays empty: so that one that ends again and again costs little, and others go on. */
const firstPauseMs = 100;
const longestPauseMs = 5000;
/** A worker that ran for so long was well: the next pause is the first again. */
const healthyMs = 60_000;

export interface CrewOptions<In, Out> {
  /** The module that a worker runs. */
  readonly entry: URL;
  readonly workers: number;
  /** Of the whole process. */
  readonly maxPipes: number;
  /** By worker. They are the crew's from here on. */
  readonly listeners: readonly (readonly WorkerListener[])[];
  readonly log: Pick<Log, "error" | "info">;
  /** What the role's entry gets. Asked anew for every replacement. */
  readonly role: (worker: number) => unknown;
  readonly received: (worker: number, message: In) => void;
  /** A worker has ended that was not told to. Its descriptors are closed, but for the listening ones. */
  readonly died: (worker: number) => void;
  /** What a replacement is to be told before all else. */
  readonly replay: () => readonly Out[];
  readonly fault: (error: unknown) => void;
}

export interface WorkerStatus {
  readonly worker: number;
  readonly state: "running" | "restarting";
  readonly restarts: number;
}

/** The workers of one role. */
export interface Crew<Out> {
  /** To a worker that is not there: dropped, for its replacement is told everything. */
  post(worker: number, message: Out): void;
  /**
   * Passes a message on that carries a descriptor, which its owner has been given. Where that thread is not there any more the
   * descriptor is closed, and false returned.
   */
  pass(worker: number, passed: { readonly owner: Owner; readonly descriptor: number }, message: Out): boolean;
  isThere(worker: number): boolean;
  status(): WorkerStatus[];
  /** From here on a worker that ends is not replaced. */
  retire(): void;
  /** Ends all threads and closes what they leave. Resolves in a few seconds at most. */
  stop(): Promise<void>;
}

interface Place<In, Out> {
  readonly worker: number;
  listeners: readonly WorkerListener[];
  thread: Thread<In, Out> | undefined;
  /** Its data plane runs. */
  ready: boolean;
  /** Whose the listening sockets are: of the thread, or of the last one while there is none. */
  owner: Owner;
  restarts: number;
  startedAt: number;
  pauseMs: number;
  retry: NodeJS.Timeout | undefined;
}

/** Starts the workers. Resolves when all of them run; throws what the first one threw, with nothing left open. */
export async function startCrew<In, Out>(options: CrewOptions<In, Out>): Promise<Crew<Out>> {
  const { workers, log } = options;
  const descriptors = createDescriptorTable();
  const duty = new Int32Array(new SharedArrayBuffer(workers * Int32Array.BYTES_PER_ELEMENT));
  let retired = false;
  let up = false;

  const places = options.listeners.map((listeners, worker): Place<In, Out> => {
    const owner = ownerOfWorker(worker);
    for (const { descriptor } of listeners) assign(descriptors, descriptor, owner);
    return {
      worker,
      listeners,
      thread: undefined,
      ready: false,
      owner,
      restarts: 0,
      startedAt: 0,
      pauseMs: firstPauseMs,
      retry: undefined,
    };
  });

  function start(place: Place<In, Out>): Thread<In, Out> {
    const { worker } = place;
    const thread = startThread<In, Out>({
      entry: options.entry,
      data: {
        worker,
        workers,
        owner: place.owner,
        descriptors,
        duty: duty.buffer,
        listening: place.listeners.map(({ use, address, descriptor, bound }) => ({ use, address, descriptor, bound })),
        maxPipes: Math.max(1, Math.floor(options.maxPipes / workers)),
        replaces: place.restarts > 0,
        role: options.role(worker),
      },
      received: (message) => options.received(worker, message),
      fault: options.fault,
    });
    place.thread = thread;
    place.startedAt = monotonic();
    thread.ready.then(
      () => {
        place.ready = place.thread === thread;
      },
      () => {},
    );
    void thread.ended.then((error) => ended(place, error));
    return thread;
  }

  /**
   * The thread runs no more. First nobody gives it anything, then what it had is closed: what it was given in between is
   * found when the message about it comes to `pass`.
   */
  function ended(place: Place<In, Out>, error: Error | undefined): void {
    const { worker } = place;
    Atomics.store(duty, worker, 0);
    place.thread = undefined;
    place.ready = false;
    const dead = place.owner;
    const replaced = up && !retired;
    if (replaced) {
      place.restarts++;
      // A number that nobody had before: what is still under way to the dead one must not reach the living.
      place.owner = ownerOfWorker(worker + maxWorkers * place.restarts);
      // Not what it has closed itself, because it could not start.
      const { owns, give } = createOwnership(descriptors, dead);
      place.listeners = place.listeners.filter(({ descriptor }) => owns(descriptor));
      for (const { descriptor } of place.listeners) give(descriptor, place.owner);
    }
    const closed = closeOwnedBy(descriptors, dead, new Set());
    if (error === undefined) return;
    options.died(worker);
    if (!up) return;
    if (monotonic() - place.startedAt >= healthyMs) place.pauseMs = firstPauseMs;
    log.error(
      {
        worker,
        fault: stackOf(error),
        descriptorsClosed: closed.length,
        restartMs: replaced ? place.pauseMs : undefined,
      },
      "a data-plane worker has ended: its connections are lost",
    );
    if (replaced) replaceLater(place);
  }

  function replaceLater(place: Place<In, Out>): void {
    place.retry = setTimeout(() => replace(place), place.pauseMs);
    place.pauseMs = Math.min(longestPauseMs, 2 * place.pauseMs);
  }

  function replace(place: Place<In, Out>): void {
    place.retry = undefined;
    let thread: Thread<In, Out>;
    try {
      thread = start(place);
    } catch (error) {
      // For want of descriptors, say.
      const { worker, pauseMs } = place;
      log.error({ worker, fault: stackOf(error), restartMs: pauseMs }, "a data-plane worker could not be started");
      replaceLater(place);
      return;
    }
    const { port, ready } = thread;
    for (const message of options.replay()) port.post(message);
    const { worker, restarts } = place;
    ready.then(
      () => log.info({ worker, restarts }, "a data-plane worker has been replaced"),
      () => {},
    );
  }

  let stopped: Promise<void> | undefined;

  async function stopOnce(): Promise<void> {
    retired = true;
    for (const { retry } of places) clearTimeout(retry);
    await Promise.all(
      places.map(async (place) => {
        const { thread } = place;
        await thread?.end();
        // Where it has not ended by now its descriptors may still be in use: they end with the process.
        if (place.thread === undefined || place.thread !== thread) closeOwnedBy(descriptors, place.owner, new Set());
        for (const listener of place.listeners) listener.closed();
      }),
    );
  }

  function stop(): Promise<void> {
    stopped ??= stopOnce();
    return stopped;
  }

  try {
    await Promise.all(places.map((place) => start(place).ready));
    if (places.some(({ thread }) => thread === undefined)) {
      throw new ProxyError("internal", "a data-plane worker ended while the others were starting");
    }
  } catch (error) {
    await stop();
    throw error;
  }
  up = true;

  return {
    post: (worker, message) => places[worker]?.thread?.port.post(message),
    pass(worker, { owner, descriptor }, message) {
      const place = places[worker];
      const { thread } = place?.owner === owner ? place : {};
      if (thread === undefined) closeIfOwned(descriptors, descriptor, owner);
      else thread.port.post(message);
      return thread !== undefined;
    },
    isThere: (worker) => places[worker]?.thread !== undefined,
    status: () =>
      places.map(({ worker, ready, restarts }) => ({
        worker,
        state: ready ? "running" : "restarting",
        restarts,
      })),
    retire() {
      retired = true;
      for (const { thread, retry, owner } of places) {
        clearTimeout(retry);
        // Nobody would accept from its listening sockets any more.
        if (thread === undefined) closeOwnedBy(descriptors, owner, new Set());
      }
    },
    stop,
  };
}

/** How many workers `transport.workers` stands for: 0 is one for each core. */
export function workerCount(wanted: number): number {
  return Math.min(maxWorkers, wanted === 0 ? availableParallelism() : wanted);
}
