import type { Socket } from "node:net";
import { type Deadline, monotonic, msLeft } from "../../base/deadline.js";
import { ProxyError } from "../../base/errors.js";
import type { ReasonCode } from "../../base/reasons.js";
import type { Endpoint, EndpointAddress, Hangup } from "../endpoint.js";
import type { SocketAddresses } from "./addresses.js";
import { alarm } from "./alarm.js";
import { onceEndIsSure } from "./handle.js";

/** What is read before anyone asks for it. Large enough for any ClientHello, small enough to bear for a silent crowd. */
const maxReadAheadBytes = 64 * 1024;

/** How long an ended endpoint goes on reading into nothing, so that no reset overtakes its last bytes. */
export const lingerMs = 1000;

/** First probe of a silent connection. Shorter than the idle limits of common NATs and load balancers (120-350 s). */
const keepaliveIdleMs = 60_000;

/** What every socket of this engine is made with, accepted or connected. */
export const socketOptions = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: keepaliveIdleMs,
  // One read of libuv brings up to 64 KiB: with less, every full read would pause and resume the stream.
  highWaterMark: 128 * 1024,
} as const;

/** Whose the socket is: the caller's, this engine's for a last farewell, nobody's any more, a splice's. */
type Stage = "open" | "ending" | "closed" | "spliced";

interface Waiter {
  readonly resolve: (bytes: Uint8Array | undefined) => void;
  readonly reject: (error: ProxyError) => void;
  readonly cancelAlarm: () => void;
}

/** What a splice takes over. */
export interface Released {
  readonly socket: Socket;
  /** Bytes put back or read ahead, in order: they come before anything that the socket still brings. */
  readonly unread: readonly Uint8Array[];
  /** How the peer, or this side, went away before the splice began. */
  readonly left: Hangup | undefined;
  readonly closed: boolean;
}

/** An endpoint over a socket of Node. It reads ahead into bounded memory, so that it sees the peer leave. */
export class NodeEndpoint implements Endpoint {
  readonly remote: EndpointAddress;
  readonly local: EndpointAddress;
  readonly #socket: Socket;
  #stage: Stage = "open";
  #left: Hangup | undefined;
  #closed = false;
  /** Apart from what was read ahead: bytes put back must not stop the socket from being watched. */
  #putBack: Uint8Array[] = [];
  #readAhead: Uint8Array[] = [];
  #readAheadBytes = 0;
  #waiter: Waiter | undefined;
  #hangup: Promise<Hangup> | undefined;
  #settleHangup: ((hangup: Hangup) => void) | undefined;

  /** Takes ownership of a connected socket made with `socketOptions`. */
  constructor(socket: Socket, addresses: SocketAddresses) {
    this.#socket = socket;
    this.remote = addresses.remote;
    this.local = addresses.local;
    socket.on("data", this.#onData).on("end", this.#onEnd).on("error", this.#onError).on("close", this.#onClose);
  }

  get hangup(): Promise<Hangup> {
    // Made when first asked for: most endpoints of a crowd are never asked.
    this.#hangup ??= this.#left
      ? Promise.resolve(this.#left)
      : new Promise((resolve) => {
          this.#settleHangup = resolve;
        });
    return this.#hangup;
  }

  read(deadline: Deadline): Promise<Uint8Array | undefined> {
    if (this.#stage !== "open") return Promise.reject(new ProxyError("closed_here"));
    if (this.#waiter) return Promise.reject(new ProxyError("internal", "an endpoint is read twice at once"));
    const ready = this.#takeUnread();
    if (ready !== undefined) return Promise.resolve(ready);
    if (this.#left === "ended") return Promise.resolve(undefined);
    if (this.#left === "reset") return Promise.reject(new ProxyError("peer_reset"));
    if (msLeft(deadline) === 0) return Promise.reject(new ProxyError(deadline.code));
    return new Promise((resolve, reject) => {
      const cancelAlarm = alarm(deadline.at, () => this.#failRead(deadline.code));
      this.#waiter = { resolve, reject, cancelAlarm };
    });
  }

  unread(bytes: Uint8Array): void {
    if (this.#stage !== "open" || bytes.length === 0) return;
    if (this.#waiter) this.#answerRead(bytes);
    else this.#putBack.unshift(bytes);
  }

  write(bytes: Uint8Array): void {
    if (this.#stage === "open") this.#socket.write(bytes);
  }

  end(last?: Uint8Array): void {
    if (!this.#leave("ending")) return;
    const socket = this.#socket;
    socket.off("data", this.#onData).resume(); // flowing without a listener: into nothing
    if (last === undefined) socket.end();
    else socket.end(last);
    if (this.#closed) return;
    const cancelAlarm = alarm(monotonic() + lingerMs, () => socket.destroy());
    socket.once("close", cancelAlarm);
  }

  destroy(): void {
    if (this.#leave("closed")) this.#socket.destroy();
  }

  reset(): void {
    if (this.#leave("closed")) resetSocket(this.#socket);
  }

  /** Hands the socket over; from here on this endpoint does nothing. Throws `internal` when it was handed over before. */
  release(): Released {
    if (this.#stage === "spliced") throw new ProxyError("internal", "an endpoint is spliced twice");
    const left = this.#stage === "open" ? this.#left : "destroyed";
    const unread = [...this.#putBack, ...this.#readAhead];
    this.#stage = "spliced";
    this.#forgetUnread();
    this.#failRead("closed_here");
    const socket = this.#socket;
    socket.off("data", this.#onData).off("end", this.#onEnd).off("error", this.#onError).off("close", this.#onClose);
    return { socket, unread, left, closed: this.#closed };
  }

  readonly #onData = (bytes: Uint8Array): void => {
    if (this.#waiter) {
      this.#answerRead(bytes);
      return;
    }
    this.#readAhead.push(bytes);
    this.#readAheadBytes += bytes.length;
    if (this.#readAheadBytes >= maxReadAheadBytes) this.#socket.pause();
  };

  readonly #onEnd = (): void => {
    onceEndIsSure(this.#socket, () => this.#ended());
  };

  #ended(): void {
    this.#leftAs("ended");
    this.#answerRead(undefined);
  }

  readonly #onError = (error?: NodeJS.ErrnoException): void => {
    // An error after the FIN costs nothing that was sent: what has been read ahead stays good.
    if (this.#left !== undefined) return;
    if (this.#socket.readableEnded && error?.code === "EPIPE") {
      this.#ended();
      return;
    }
    this.#forgetUnread();
    this.#leftAs("reset");
    this.#failRead("peer_reset");
  };

  readonly #onClose = (): void => {
    this.#closed = true;
    if (this.#left === undefined) this.#onError();
  };

  #takeUnread(): Uint8Array | undefined {
    const putBack = this.#putBack.shift();
    if (putBack !== undefined) return putBack;
    const bytes = this.#readAhead.shift();
    if (bytes === undefined) return undefined;
    this.#readAheadBytes -= bytes.length;
    if (this.#readAheadBytes < maxReadAheadBytes && this.#socket.isPaused()) this.#socket.resume();
    return bytes;
  }

  #forgetUnread(): void {
    this.#putBack = [];
    this.#readAhead = [];
    this.#readAheadBytes = 0;
  }

  #takeWaiter(): Waiter | undefined {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.cancelAlarm();
    return waiter;
  }

  #answerRead(bytes: Uint8Array | undefined): void {
    this.#takeWaiter()?.resolve(bytes);
  }

  /** Most endpoints end with nobody reading: the error, and its stack, are made for whoever waits. */
  #failRead(code: ReasonCode): void {
    this.#takeWaiter()?.reject(new ProxyError(code));
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
    this.#forgetUnread();
    this.#leftAs("destroyed");
    this.#failRead("closed_here");
    return true;
  }
}

/**
 * Closes with a RST. A unix socket has none; and libuv refuses one while a FIN waits behind queued bytes, and would then
 * leave the descriptor open: both are closed in the ordinary way.
 */
export function resetSocket(socket: Socket): void {
  const finUnderWay = socket.writableEnded && !socket.writableFinished;
  if (socket.destroyed || finUnderWay || socket.remoteFamily === undefined) socket.destroy();
  else socket.resetAndDestroy();
}
