import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { atMost } from "../../base/deadline.js";
import { type MainEnd, mainEnd } from "../../base/thread-port.js";
import { loadLibc } from "./libc.js";
import type { Owner } from "./ownership.js";
import { createEventDescriptor, wake } from "./wake.js";
import type { UsedListener } from "./worker-listeners.js";

/** How long a thread may take to leave when it is told to, and again when it is ended by force. */
const leaveMs = 2000;

/**
 * Of a worker's heap, the part for what is new, in MiB: most of what a connection needs is gone with its first second. V8
 * would take four times as much, which makes nothing faster and, spread over a few thousand connections, weighs as much
 * as they do.
 */
const youngGenerationMb = 12;

/** What a worker's entry finds in `workerData`. */
export interface ThreadData {
  readonly worker: number;
  readonly workers: number;
  /** Who the thread is in the table of descriptors. No two threads of a process ever have the same one. */
  readonly owner: Owner;
  readonly descriptors: SharedArrayBuffer;
  /** Who each worker is right now: 0 where it is not there. Written by the main thread. */
  readonly duty: SharedArrayBuffer;
  readonly listening: readonly UsedListener[];
  readonly maxPipes: number;
  /** Another one of this number ended a moment ago. */
  readonly replaces: boolean;
  /** What the role's own entry needs. */
  readonly role: unknown;
}

/** The same, with what joins the thread to the main one. */
export interface JoinedThreadData extends ThreadData {
  readonly channel: MessagePort;
  /** The main thread writes to this eventfd when there is something to look at. */
  readonly wake: number;
  /** One Int32: not zero when the thread is to leave. */
  readonly leave: SharedArrayBuffer;
}

/** A worker's thread, as the main thread sees it. */
export interface Thread<In, Out> {
  readonly port: MainEnd<In, Out>;
  /** Resolves when its data plane runs. Rejects with what went wrong where it ends before. */
  readonly ready: Promise<void>;
  /** Resolves when it runs no more, all it said has been told: with the error where it was not told to leave. Never rejects. */
  readonly ended: Promise<Error | undefined>;
  /** Tells it to leave, ends it by force where it does not. Resolves in a few seconds at most, whatever the thread does. */
  end(): Promise<void>;
}

function createWorker(entry: URL, data: JoinedThreadData): Worker {
  return new Worker(entry, {
    workerData: data,
    transferList: [data.channel],
    name: `data-plane-${data.worker}`,
    resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
    // A thread has the options of its process, V8's too, unless some are named: and then none of V8's may be. Of a text
    // (`--eval`) it must not have the one that says what the text is.
    ...(process.execArgv.some((option) => option.startsWith("--input-type")) ? { execArgv: [] } : {}),
  });
}

/** Starts a thread. `received` gets what its data plane posts; `fault` what `received` throws. */
export function startThread<In, Out>(options: {
  entry: URL;
  data: ThreadData;
  received: (message: In) => void;
  fault: (error: unknown) => void;
}): Thread<In, Out> {
  const { port1, port2 } = new MessageChannel();
  const eventDescriptor = createEventDescriptor();
  const leave = new Int32Array(new SharedArrayBuffer(4));
  let runs = true;
  // Once the thread has ended the number may be somebody's connection.
  const awaken = () => {
    if (runs) wake(eventDescriptor);
  };
  const port = mainEnd<In, Out>({ channel: port1, fault: options.fault, wake: awaken });
  port.receive(options.received);

  const data: JoinedThreadData = { ...options.data, channel: port2, wake: eventDescriptor, leave: leave.buffer };
  let worker: Worker;
  try {
    worker = createWorker(options.entry, data);
  } catch (cause) {
    // The system gives no more threads. It is tried again and again, and must not cost a descriptor each time.
    loadLibc().close(eventDescriptor);
    port.close();
    port2.close();
    throw cause;
  }
  let error: Error | undefined;
  worker.on("error", (thrown: unknown) => {
    error = thrown instanceof Error ? thrown : new Error(String(thrown));
  });
  const ended = new Promise<Error | undefined>((resolve) => {
    worker.on("exit", (status) => {
      runs = false;
      loadLibc().close(eventDescriptor);
      port.drain();
      port.close();
      const unasked = leave[0] === 0 ? new Error(`the thread ended with status ${status}`) : undefined;
      resolve(error ?? unasked);
    });
  });
  const ready = new Promise<void>((resolve, reject) => {
    worker.once("message", () => resolve());
    void ended.then((why) => reject(why ?? new Error("the thread was told to leave before it was ready")));
  });
  ready.catch(() => {});

  return {
    port,
    ready,
    ended,
    async end() {
      Atomics.store(leave, 0, 1);
      awaken();
      await atMost(ended, leaveMs);
      if (!runs) return;
      await atMost(worker.terminate(), leaveMs);
    },
  };
}
