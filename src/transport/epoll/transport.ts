import type { Address } from "../../base/address.js";
import type { Deadline } from "../../base/deadline.js";
import { ProxyError } from "../../base/errors.js";
import type { Endpoint, EndpointAddress, SpliceOptions } from "../endpoint.js";
import { type GivenListener, givenListeners } from "../inherited.js";
import type { Listener, ListenOptions, ResolvedAddress, Transport } from "../transport.js";
import { type BoundSocket, bindListening } from "./bind.js";
import { connect } from "./connect.js";
import { EpollEndpoint } from "./endpoint.js";
import { loadLibc } from "./libc.js";
import { acceptFrom } from "./listen.js";
import { EventLoop } from "./loop.js";
import { createDescriptorTable, createOwnership, mainThread, type Owner } from "./ownership.js";
import { createPipes } from "./pipes.js";
import { splice } from "./splice.js";
import { Stream } from "./stream.js";
import { watchWakes } from "./wake.js";

export interface EpollOptions {
  /** Who owns which descriptor of this process; all threads share it. */
  readonly descriptors?: SharedArrayBuffer;
  readonly owner?: Owner;
  /** `listen` takes these over instead of binding; they are this thread's already. */
  readonly listening?: readonly GivenListener[];
  /** See settings: `transport.maxPipes`. */
  readonly maxPipes?: number;
  /** The longest wait, in milliseconds, in which the rest of the thread stands still. */
  readonly maxBlockMs?: number;
  /** A fault of this program in the handling of one connection, which is gone by now. */
  readonly fault?: (error: unknown) => void;
}

/** An endpoint on its way from one worker to another. It survives a structured clone. */
export interface HandedOver {
  readonly descriptor: number;
  readonly remote: EndpointAddress;
  readonly local: EndpointAddress;
  readonly unread: readonly Uint8Array[];
}

/** The engine, and what a worker needs of it beyond. */
export interface EpollTransport extends Transport {
  readonly engine: "epoll";
  /** Calls `woken` when somebody has written to this eventfd, which stays the caller's. Wakeups are merged. */
  onWake(eventDescriptor: number, woken: () => void): void;
  /** Runs before every wait: the place to send what has gathered. */
  beforeWait(hook: () => void): void;
  /**
   * Takes an endpoint out of this loop; from here on the descriptor is `to`'s, which must be told to `adopt` it. Undefined
   * where the endpoint is broken or was given up before: it is closed.
   */
  handOver(endpoint: Endpoint, to: Owner): HandedOver | undefined;
  /** Throws `descriptors_exhausted`; then it is closed. */
  adopt(handed: HandedOver): Endpoint;
  /** Closes whatever this thread owns, and runs no more. */
  close(): void;
}

/** The fast engine, over epoll and splice(2). Linux only: `loadLibc` throws elsewhere. */
export function createEpollTransport(options: EpollOptions = {}): EpollTransport {
  const libc = loadLibc();
  const { descriptors = createDescriptorTable(), owner = mainThread, maxPipes = 256, maxBlockMs = 1 } = options;
  const fault =
    options.fault ??
    ((error: unknown) => {
      throw error;
    });
  const loop = new EventLoop({ libc, ownership: createOwnership(descriptors, owner), maxBlockMs, fault });
  const pipes = createPipes(loop, maxPipes);
  const given = givenListeners(options.listening);
  loop.whenAtRest(() => pipes.closeIdle());

  async function bind(address: Address): Promise<BoundSocket> {
    const ready = given.take(address);
    if (ready !== undefined) return { descriptor: ready.descriptor, address: ready.bound, closed() {} };
    const bound = await bindListening(libc, address, { reusePort: false });
    if (loop.own(bound.descriptor)) return bound;
    bound.closed();
    throw new ProxyError("descriptors_exhausted");
  }

  return {
    engine: "epoll",
    async listen(listening: ListenOptions): Promise<Listener> {
      const starved: ListenOptions["starved"] = (state, detail) => {
        if (state === "paused") pipes.closeIdle();
        listening.starved?.(state, detail);
      };
      return acceptFrom(loop, await bind(listening.address), { ...listening, starved });
    },
    connect: (address: ResolvedAddress, deadline: Deadline) => connect(loop, address, deadline),
    splice: (a: Endpoint, b: Endpoint, limits: SpliceOptions) => splice(a, b, limits, pipes),
    alarm(at, ring) {
      const set = loop.alarm(at, ring);
      return () => loop.cancel(set);
    },
    onWake: (eventDescriptor, woken) => watchWakes(loop, eventDescriptor, woken),
    beforeWait: (hook) => loop.beforeWait(hook),
    handOver(endpoint, to) {
      if (!(endpoint instanceof EpollEndpoint)) throw new ProxyError("internal", "not an endpoint of this engine");
      const { remote, local } = endpoint;
      const { stream, unread, left } = endpoint.release();
      // Bytes that are still to be sent would be lost: nobody hands over what has been written to.
      if (left === "reset" || left === "destroyed" || stream.takeUnsent().length > 0) {
        stream.close();
        return undefined;
      }
      stream.release(to);
      return { descriptor: stream.descriptor, remote, local, unread };
    },
    adopt({ descriptor, remote, local, unread }) {
      const stream = new Stream(loop, descriptor, remote.family === "unix" ? "unix" : "tcp");
      const endpoint = new EpollEndpoint(stream, remote, local);
      for (const bytes of unread.toReversed()) endpoint.unread(bytes);
      return endpoint;
    },
    close: () => loop.stop(),
  };
}
