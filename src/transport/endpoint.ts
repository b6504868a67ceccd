import type { Deadline } from "../base/deadline.js";

/** The address of one end of a connection. A unix socket's peer has no address of its own. */
export type EndpointAddress =
  | { readonly family: "ipv4" | "ipv6"; readonly address: string; readonly port: number }
  | { readonly family: "unix" };

/** How the peer went away: FIN, RST, or this side destroyed the endpoint first. */
export type Hangup = "ended" | "reset" | "destroyed";

/**
 * One end of a byte stream, the same over both engines. Whoever holds an endpoint owns it and must end it in exactly one
 * way: `end`, `destroy`, `reset`, or by giving it to `splice`. All four may be called again without harm.
 */
export interface Endpoint {
  readonly remote: EndpointAddress;
  readonly local: EndpointAddress;

  /**
   * Settles when the peer is seen to have left, without anyone reading. Bytes that arrive meanwhile are kept, up to the
   * engine's read-ahead; a peer that sends more than that and then leaves is noticed when it is read. Settles with
   * `destroyed` when this side ends, destroys or resets it first; does not settle any more once it is spliced. Never rejects.
   */
  readonly hangup: Promise<Hangup>;

  /**
   * Resolves with the next bytes, or undefined when the peer has ended its direction (FIN). One read at a time: a second
   * one throws `internal`. Bytes that are here already are returned even when the deadline has passed.
   * Throws the deadline's code when it passes, `peer_reset` when the peer reset the connection, `closed_here` when this
   * side destroyed it or gave it to a splice. The endpoint stays open and stays the caller's.
   */
  read(deadline: Deadline): Promise<Uint8Array | undefined>;

  /** Puts bytes back: the next read, or the splice, starts with them. */
  unread(bytes: Uint8Array): void;

  /** Queues bytes for sending. A failure shows at the next read and in `hangup`. The caller bounds how much it queues. */
  write(bytes: Uint8Array): void;

  /**
   * Sends `last`, then FIN, and goes on reading into nothing until the peer has left or a second has passed: closing with
   * unread bytes in the socket would send a reset, which can overtake `last`. The endpoint is the engine's from here on.
   */
  end(last?: Uint8Array): void;

  /** Closes at once; what is queued may be lost. After `end` it does nothing: the last bytes are still on their way. */
  destroy(): void;

  /** Closes at once with a RST, where the protocol has one. */
  reset(): void;
}

/** Who or what ended a splice. `a` and `b` are the endpoints as passed. */
export type SpliceEnd = "a_ended" | "b_ended" | "a_reset" | "b_reset" | "idle_timeout" | "half_closed_timeout" | "cut";

export interface SpliceOptions {
  /** Milliseconds without a byte in either direction after which both sides are closed. */
  readonly idleTimeoutMs: number;
  /** Milliseconds without a byte after one direction has ended. */
  readonly halfClosedTimeoutMs: number;
  /**
   * Called as bytes are taken from one side for the other, in the direction a to b or b to a; also before `splice` has
   * returned, for bytes that were read before. Must not throw.
   */
  readonly moved: (direction: "ab" | "ba", bytes: number) => void;
}

export interface SpliceResult {
  readonly bytesAb: number;
  readonly bytesBa: number;
  /**
   * What ended it first: the reset, limit or cut where there was one, else the first FIN. A side that resets after its own
   * FIN has closed altogether, and nothing that it sent was lost: that counts as its FIN.
   */
  readonly endedBy: SpliceEnd;
}

/** A splice under way. */
export interface Splice {
  /** Calls `tell` once, when both endpoints are closed, or at once where they are; replaces what was set before. */
  whenDone(tell: (result: SpliceResult) => void): void;
  /** The same as a promise, which is made when it is asked for. Never rejects. Not to be asked for before `whenDone`. */
  readonly done: Promise<SpliceResult>;
  /** Ends it at once from this side. */
  cut(): void;
}
