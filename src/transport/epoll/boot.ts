import { parentPort, workerData } from "node:worker_threads";
import type { Address } from "../../base/address.js";
import { ProxyError } from "../../base/errors.js";
import type { Port } from "../../base/port.js";
import { workerEnd } from "../../base/thread-port.js";
import type { Endpoint } from "../endpoint.js";
import type { ListeningUse } from "../inherited.js";
import { createOwnership } from "./ownership.js";
import type { JoinedThreadData } from "./thread.js";
import { createEpollTransport, type EpollTransport, type HandedOver } from "./transport.js";

/** The longest wait in epoll. Whoever has something to say wakes it: this bounds only how long an end by force may take. */
const maxBlockMs = 100;

/** An endpoint on its way to another worker, and whose it is from now on. */
export interface PassedEndpoint extends HandedOver {
  readonly owner: number;
}

/** What became of giving an endpoint to another worker. */
export type Given =
  /** It is that worker's, whom the main thread is to tell. */
  | { readonly status: "given"; readonly passed: PassedEndpoint }
  /** That worker is not there: the endpoint is still the caller's. */
  | { readonly status: "absent" }
  /** The peer has left: the endpoint is closed. */
  | { readonly status: "left" };

/** The workers of one role, as far as they pass connections to each other. */
export interface Exchange {
  readonly workers: number;
  isThere(worker: number): boolean;
  give(endpoint: Endpoint, worker: number): Given;
  /** The other side of it. Throws `internal` where the descriptor is not this thread's: then it is not touched. */
  take(passed: PassedEndpoint): Endpoint;
}

/** What a data plane in a worker has beyond its transport. */
export interface WorkerContext<Role, In, Out> {
  readonly worker: number;
  /** Another one of this number ended a moment ago. */
  readonly replaces: boolean;
  readonly role: Role;
  readonly transport: EpollTransport;
  readonly port: Port<In, Out>;
  readonly exchange: Exchange;
  /** Where it is to listen for this use. */
  listening(use: ListeningUse): Address[];
}

/**
 * Starts a data plane in the worker's thread that this is called in, and tells the main thread when it runs. It leaves when
 * the main thread says so. What `start` throws ends the thread.
 */
export async function bootWorker<Role, In, Out>(
  start: (context: WorkerContext<Role, In, Out>) => void | Promise<void>,
  fault: (port: Port<In, Out>, error: unknown) => void,
): Promise<void> {
  const data = workerData as JoinedThreadData;
  const { owner, descriptors, channel } = data;
  const leave = new Int32Array(data.leave);
  const duty = new Int32Array(data.duty);
  const { owns } = createOwnership(descriptors, owner);
  const tellFault = (error: unknown) => fault(port, error);
  const port = workerEnd<In, Out>({ channel, fault: tellFault });
  const transport = createEpollTransport({
    descriptors,
    owner,
    listening: data.listening,
    maxPipes: data.maxPipes,
    maxBlockMs,
    fault: tellFault,
  });
  transport.beforeWait(port.flush);
  transport.onWake(data.wake, () => {
    if (Atomics.load(leave, 0) === 0) return port.drain();
    transport.close();
    port.close();
    process.exit(0);
  });
  // Also when an error ends it: what was handed over must be told, else nobody would ever close it.
  process.on("exit", () => port.flush());

  const exchange: Exchange = {
    workers: data.workers,
    isThere: (worker) => Atomics.load(duty, worker) !== 0,
    give(endpoint, worker) {
      const to = Atomics.load(duty, worker);
      if (to === 0) return { status: "absent" };
      const handed = transport.handOver(endpoint, to);
      if (handed === undefined) return { status: "left" };
      // Copies, because a clone takes the whole memory that a view looks into.
      const unread = handed.unread.map((bytes) => new Uint8Array(bytes));
      // As soon as the caller has posted it: a thread may end in ways that run no exit handlers, and then nobody would
      // ever hear of it.
      queueMicrotask(() => port.flush());
      return { status: "given", passed: { ...handed, unread, owner: to } };
    },
    take(passed) {
      if (!owns(passed.descriptor)) throw new ProxyError("internal", `descriptor ${passed.descriptor} is another's`);
      return transport.adopt(passed);
    },
  };

  await start({
    worker: data.worker,
    replaces: data.replaces,
    role: data.role as Role,
    transport,
    port,
    exchange,
    listening: (use) => data.listening.filter((one) => one.use === use).map(({ address }) => address),
  });
  // Not before: what is given to a worker that does not come up is lost.
  Atomics.store(duty, data.worker, owner);
  parentPort?.postMessage("ready");
}
