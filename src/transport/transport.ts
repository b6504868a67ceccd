import type { Address } from "../base/address.js";
import type { Deadline } from "../base/deadline.js";
import type { Endpoint, EndpointAddress, Splice, SpliceOptions } from "./endpoint.js";

export interface Listener {
  /** Where it listens: the real port where 0 was asked for. */
  readonly address: EndpointAddress;
  /** Stops accepting and closes the listening socket. Accepted endpoints are not touched. */
  close(): Promise<void>;
}

export interface ListenOptions {
  readonly address: Address;
  /** The new endpoint is the callee's. Must not throw. */
  readonly accept: (endpoint: Endpoint) => void;
  /**
   * How many more descriptors those who were accepted before will need. Accepting pauses early enough to leave them these:
   * else clients are let in who can then not be served. None, where it is not said.
   */
  readonly owes?: () => number;
  /**
   * Accepting has paused for want of descriptors (`paused`), or goes on (`resumed`): once per change. The node engine
   * cannot leave clients in the queue meanwhile: it turns away those that find no descriptor.
   */
  readonly starved?: (state: "paused" | "resumed", detail: string) => void;
}

/** An address whose name has been looked up: engines resolve nothing. */
export type ResolvedAddress =
  | { readonly kind: "tcp"; readonly ip: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** A connect under way. */
export interface Connecting {
  /**
   * Resolves with the endpoint, which is then the caller's. Throws `connect_refused`, `connect_unreachable`,
   * `descriptors_exhausted`, the deadline's code, or `closed_here` after `cancel`.
   */
  readonly connected: Promise<Endpoint>;
  /** Gives up; an endpoint that was made already is destroyed. */
  cancel(): void;
}

/** The engine: everything the data plane does with sockets. */
export interface Transport {
  readonly engine: "node" | "epoll";
  /** Throws `address_in_use` or `address_unavailable`. */
  listen(options: ListenOptions): Promise<Listener>;
  connect(address: ResolvedAddress, deadline: Deadline): Connecting;
  /**
   * Joins two endpoints, which belong to the splice from here on, until both directions have ended. A FIN is passed on and
   * the other direction goes on; a RST is passed on as a RST, unless that side's FIN and all its bytes had come before:
   * then the other side first gets what is queued for it. Throws `internal` for an endpoint that is spliced already.
   */
  splice(a: Endpoint, b: Endpoint, options: SpliceOptions): Splice;
  readonly alarm: Alarm;
}

/**
 * Calls `ring` once, when the monotonic clock has reached `at` (milliseconds). Returns the cancel, which may be called
 * again without harm. The only timers of a data plane: those of Node stand still while an engine waits.
 */
export type Alarm = (at: number, ring: () => void) => () => void;
