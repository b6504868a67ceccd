import { type Deadline, msLeft } from "../../base/deadline.js";
import { ProxyError } from "../../base/errors.js";
import type { ReasonCode } from "../../base/reasons.js";
import type { Endpoint, EndpointAddress, Hangup } from "../endpoint.js";
import { eAgain, ePipe } from "./abi.js";
import type { Alarm } from "./alarms.js";
import { localAddress } from "./socket-options.js";
import type { Stream, StreamUser } from "./stream.js";

/** How long an ended endpoint goes on reading into nothing, so that no reset overtakes its last bytes. */
export const lingerMs = 1000;
/** Received and dropped in one round, of an endpoint that reads into nothing. */
const maxDroppedReads = 4;

/** Whose the stream is: the caller's, this engine's for a last farewell, nobody's any more, a splice's. */
type Stage = "open" | "ending" | "closed" | "released";

interface Waiter {
  readonly resolve: (bytes: Uint8Array | undefined) => void;
  readonly reject: (error: ProxyError) => void;
  readonly alarm: Alarm;
}

/** What a splice, or another worker, takes over. */
export interface Released {
  readonly stream: Stream;
  /** Bytes put back, in order: they come before anything that the stream still brings. */
  readonly unread: readonly Uint8Array[];
  /** How the peer, or this side, went away before. */
  readonly left: Hangup | undefined;
}

/**
 * An endpoint over a stream of the loop. It reads when it is asked to, and not before: what nobody asks for waits in the
 * system's buffers, and epoll tells of the peer's leaving all the same.
 */
export class EpollEndpoint implements Endpoint, StreamUser {
  readonly remote: EndpointAddress;
  readonly #stream: Stream;
  #local: EndpointAddress | undefined;
  #stage: Stage = "open";
  #left: Hangup | undefined;
  #unread: Uint8Array[] | undefined;
  #waiter: Waiter | undefined;
  #hangup: Promise<Hangup> | undefined;
  #settleHangup: ((hangup: Hangup) => void) | undefined;
  #lingering: Alarm | undefined;
  /** While it is ending: everything that the peer sent has been read into nothing. */
  #peerDone = false;
  #turnWanted = false;

  /** Takes ownership of a connected stream. Of `local` the system is asked where it is not said. */
  constructor(stream: Stream, remote: EndpointAddress, local?: EndpointAddress) {
    this.#stream = stream;
    this.remote = remote;
    this.#local = local;
    stream.user = this;
    // The edge of the connect may have told of the FIN too, and no other will.
    if (stream.peerEnded) this.#left = "ended";
  }

  /** Of most connections that are made from here nobody asks it. Unspecified where the first to ask comes after the end. */
  get local(): EndpointAddress {
    if (this.#local !== undefined) return this.#local;
    if (this.remote.family === "unix") return { family: "unix" };
    if (this.#stream.closed) return { family: "ipv4", address: "0.0.0.0", port: 0 };
    this.#local = localAddress(this.#stream.loop.libc, this.#stream.descriptor);
    return this.#local;
  }

  get hangup(): Promise<Hangup> {
    this.#hangup ??= this.#left
      ? Promise.resolve(this.#left)
      : new Promise((resolve) => {
          this.#settleHangup = resolve;
        });
    return this.#hangup;
  }

  read(deadline: Deadline): Promise<Uint8Array | undefined> {
    if (this.#stage !== "open") return Promise.reject(new ProxyError("closed_here"));
    if (this.#waiter !== undefined) {
      return Promise.reject(new ProxyError("internal", "an endpoint is read twice at once"));
    }
    const ready = this.#unread?.shift() ?? this.#receive();
    if (ready === "end") return Promise.resolve(undefined);
    if (ready !== undefined) return Promise.resolve(ready);
    if (this.#left === "reset") return Promise.reject(new ProxyError("peer_reset"));
    if (msLeft(deadline) === 0) return Promise.reject(new ProxyError(deadline.code));
    return new Promise((resolve, reject) => {
      const alarm = this.#stream.loop.alarm(deadline.at, () => this.#failRead(deadline.code));
      this.#waiter = { resolve, reject, alarm };
    });
  }

  unread(bytes: Uint8Array): void {
    if (this.#stage !== "open" || bytes.length === 0) return;
    if (this.#waiter !== undefined) this.#answerRead(bytes);
    else if (this.#unread === undefined) this.#unread = [bytes];
    else this.#unread.unshift(bytes);
  }

  write(bytes: Uint8Array): void {
    if (this.#stage === "open") this.#stream.write(bytes);
  }

  end(last?: Uint8Array): void {
    if (!this.#leave("ending")) return;
    const stream = this.#stream;
    if (last !== undefined) stream.write(last);
    stream.finish();
    this.#lingering = stream.loop.alarm(stream.loop.now + lingerMs, () => this.#close());
    this.#drain();
  }

  destroy(): void {
    if (this.#leave("closed")) this.#stream.close();
  }

  reset(): void {
    if (this.#leave("closed")) this.#stream.reset();
  }

  /** Hands the stream over; from here on this endpoint does nothing. Throws `internal` when it was handed over before. */
  release(): Released {
    if (this.#stage === "released") throw new ProxyError("internal", "an endpoint is spliced twice");
    const left = this.#stage === "open" ? this.#left : "destroyed";
    const unread = this.#unread ?? [];
    this.#close();
    this.#stage = "released";
    this.#unread = undefined;
    this.#failRead("closed_here");
    return { stream: this.#stream, unread, left };
  }

  onStream(stream: Stream): void {
    if (stream.writable) stream.flush();
    if (this.#stage === "ending") return this.#drain();
    if (this.#stage !== "open") return;
    if (stream.error !== 0 && stream.error !== ePipe) return this.#reset();
    if (stream.peerEnded || stream.error === ePipe) this.#leftAs("ended");
    if (this.#waiter === undefined) return;
    const received = this.#receive();
    if (received === "end") this.#answerRead(undefined);
    else if (received !== undefined) this.#answerRead(received);
  }

  streamFailed(stream: Stream): void {
    this.#leave("closed");
    stream.close();
  }

  /** What is there: bytes, the end, or undefined where nothing is there yet or the connection is broken. */
  #receive(): Uint8Array | "end" | undefined {
    const stream = this.#stream;
    if (this.#left === "reset" || !stream.readable) return undefined;
    const received = stream.receive();
    if (received > 0) return Buffer.from(stream.loop.scratch.subarray(0, received));
    if (received === eAgain) return undefined;
    if (received === 0) {
      // The end stays the end, however often it is asked for.
      stream.readable = true;
      this.#leftAs("ended");
      return "end";
    }
    this.#reset();
    return undefined;
  }

  #reset(): void {
    // Once the FIN was seen, a reset costs nothing that was sent before it.
    if (this.#left !== undefined) return;
    this.#unread = undefined;
    this.#leftAs("reset");
    this.#failRead("peer_reset");
  }

  /** Reads into nothing until the peer has left. */
  #drain(): void {
    const stream = this.#stream;
    if (stream.error !== 0 && stream.error !== ePipe) return this.#close();
    for (let reads = 0; stream.readable; reads++) {
      if (reads === maxDroppedReads) return this.#wantTurn();
      const received = stream.receive();
      if (received > 0 || received === eAgain) continue;
      this.#peerDone = true;
      stream.readable = false;
      if (received < 0) return this.#close();
    }
    if (this.#peerDone && stream.flush()) this.#close();
  }

  #wantTurn(): void {
    if (this.#turnWanted) return;
    this.#turnWanted = true;
    this.#stream.loop.later({
      takeTurn: () => {
        this.#turnWanted = false;
        // It may have been closed since: then the number is somebody else's.
        if (this.#stage === "ending") this.#drain();
      },
      failed: () => this.#close(),
    });
  }

  /** After `end`. */
  #close(): void {
    if (this.#stage !== "ending") return;
    this.#stage = "closed";
    if (this.#lingering !== undefined) this.#stream.loop.cancel(this.#lingering);
    this.#stream.close();
  }

  #answerRead(bytes: Uint8Array | undefined): void {
    this.#takeWaiter()?.resolve(bytes);
  }

  /** Most endpoints end with nobody reading: the error, and its stack, are made for whoever waits. */
  #failRead(code: ReasonCode): void {
    this.#takeWaiter()?.reject(new ProxyError(code));
  }

  #takeWaiter(): Waiter | undefined {
    const waiter = this.#waiter;
    if (waiter === undefined) return undefined;
    this.#waiter = undefined;
    this.#stream.loop.cancel(waiter.alarm);
    return waiter;
  }

  #leftAs(hangup: Hangup): void {
    if (this.#left !== undefined) return;
    this.#left = hangup;
    this.#settleHangup?.(hangup);
  }

  /** The caller gives the endpoint up. False where it has done so before. */
  #leave(stage: "ending" | "closed"): boolean {
    if (this.#stage !== "open") return false;
    this.#stage = stage;
    this.#unread = undefined;
    this.#leftAs("destroyed");
    this.#failRead("closed_here");
    return true;
  }
}
