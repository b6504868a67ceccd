import { type Socket, Socket as SocketClass } from "node:net";
import { monotonic } from "../../base/deadline.js";
import { ProxyError } from "../../base/errors.js";
import type { Endpoint, Splice, SpliceEnd, SpliceOptions } from "../endpoint.js";
import { EndingSplice } from "../splice-end.js";
import { alarm } from "./alarm.js";
import { lingerMs, NodeEndpoint, type Released, resetSocket } from "./endpoint.js";
import { onceEndIsSure } from "./handle.js";

/** One of the two sockets, and what is known about its peer. */
interface Side {
  readonly name: "a" | "b";
  /** Where the bytes go that are received here. */
  readonly direction: "ab" | "ba";
  readonly socket: Socket;
  receivedBytes: number;
  /** Its FIN is here, and so is every byte before it. */
  ended: boolean;
  /** It takes no more bytes: what comes for it is dropped. */
  deaf: boolean;
  closed: boolean;
}

/** Joins two endpoints; see `Transport.splice`. Throws `internal` where one of them is in a splice already. */
export function splice(a: Endpoint, b: Endpoint, options: SpliceOptions): Splice {
  if (!(a instanceof NodeEndpoint) || !(b instanceof NodeEndpoint) || a === b) {
    throw new ProxyError("internal", "a splice needs two different endpoints of its own engine");
  }
  return new Join(a.release(), b.release(), options);
}

/** A splice under way. Bytes go from socket to socket by events alone: no promise and no timer per chunk. */
class Join extends EndingSplice {
  readonly #options: SpliceOptions;
  readonly #a: Side;
  readonly #b: Side;
  #firstEnd: SpliceEnd | undefined;
  /** A reset, a limit or a cut: comes before an orderly end. */
  #broken: SpliceEnd | undefined;
  #lastByteAt = monotonic();
  #cancelLimit: () => void = () => {};
  #cancelLinger: () => void = () => {};

  constructor(a: Released, b: Released, options: SpliceOptions) {
    super();
    this.#options = options;
    this.#a = { name: "a", direction: "ab", ...startOf(a) };
    this.#b = { name: "b", direction: "ba", ...startOf(b) };
    this.#attach(this.#a, this.#b);
    this.#attach(this.#b, this.#a);
    this.#armLimit();
    this.#takeOver(a, this.#a, this.#b);
    this.#takeOver(b, this.#b, this.#a);
    if (this.#a.closed && this.#b.closed) this.#settle();
  }

  cut(): void {
    this.#close("cut");
  }

  /** Closes both sides at once. */
  #close(why: SpliceEnd): void {
    this.#broken ??= why;
    this.#a.socket.destroy();
    this.#b.socket.destroy();
  }

  #attach(from: Side, to: Side): void {
    from.socket
      .on("data", (bytes: Uint8Array) => this.#carry(from, to, bytes))
      .on("end", () => onceEndIsSure(from.socket, () => this.#ended(from, to)))
      .on("error", () => this.#lost(from, to))
      .on("close", () => this.#closed(from))
      .on("drain", () => to.socket.resume());
    surviveBrokenPipe(from.socket, () => {
      from.deaf = true;
      // Where the FIN has not been read yet, it is behind bytes that are still to be carried.
      if (from.ended) this.#departed(from, to);
    });
  }

  /** What the endpoint knew before the splice happens now, in the order in which it came. */
  #takeOver(start: Released, from: Side, to: Side): void {
    if (start.left === "destroyed") this.#close("cut");
    else if (start.left === "reset") this.#lost(from, to);
    else {
      for (const bytes of start.unread) this.#carry(from, to, bytes);
      if (start.left === "ended") this.#ended(from, to);
      if (start.left === "ended" && from.socket.destroyed) this.#departed(from, to);
      // The read-ahead may have paused it. Where `to` is full, `drain` is sure to come.
      if (!to.socket.writableNeedDrain || to.socket.writableLength === 0) from.socket.resume();
    }
  }

  #carry(from: Side, to: Side, bytes: Uint8Array): void {
    if (to.deaf) return;
    from.receivedBytes += bytes.length;
    this.#lastByteAt = monotonic();
    this.#options.moved(from.direction, bytes.length);
    // `write` can say false although the kernel has taken everything: then there is nothing to wait for.
    if (!to.socket.write(bytes) && to.socket.writableLength > 0) from.socket.pause();
  }

  #ended(from: Side, to: Side): void {
    from.ended = true;
    this.#firstEnd ??= `${from.name}_ended`;
    this.#lastByteAt = monotonic();
    this.#armLimit();
    if (from.deaf) this.#departed(from, to);
    else to.socket.end();
  }

  /** The socket failed. A reset is passed on, unless its peer had said everything before. */
  #lost(from: Side, to: Side): void {
    from.deaf = true;
    if (from.ended) {
      this.#departed(from, to);
      return;
    }
    this.#broken ??= `${from.name}_reset`;
    from.socket.destroy();
    resetSocket(to.socket);
  }

  /** `from` has said everything and takes no more: `to` gets what is queued for it, then both are done. */
  #departed(from: Side, to: Side): void {
    from.deaf = true;
    from.socket.destroy();
    to.socket.end();
    to.socket.resume(); // reading into nothing, so that no reset overtakes what is queued
    const linger = () => {
      this.#cancelLinger();
      this.#cancelLinger = alarm(monotonic() + lingerMs, () => to.socket.destroy());
    };
    if (to.closed) return;
    if (to.socket.writableFinished) linger();
    else to.socket.once("finish", linger);
  }

  #closed(side: Side): void {
    side.closed = true;
    if (this.#a.closed && this.#b.closed) this.#settle();
  }

  #settle(): void {
    this.#cancelLimit();
    this.#cancelLinger();
    this.ended({
      bytesAb: this.#a.receivedBytes,
      bytesBa: this.#b.receivedBytes,
      endedBy: this.#broken ?? this.#firstEnd ?? "cut",
    });
  }

  /** One alarm per splice, set anew only when it rings: a byte leaves nothing but its time. */
  #armLimit(): void {
    this.#cancelLimit();
    const { idleTimeoutMs, halfClosedTimeoutMs } = this.#options;
    const halfClosed = this.#firstEnd !== undefined && halfClosedTimeoutMs < idleTimeoutMs;
    const limitMs = halfClosed ? halfClosedTimeoutMs : idleTimeoutMs;
    this.#cancelLimit = alarm(this.#lastByteAt + limitMs, () => {
      if (monotonic() - this.#lastByteAt < limitMs) this.#armLimit();
      else this.#close(halfClosed ? "half_closed_timeout" : "idle_timeout");
    });
  }
}

function startOf(released: Released): Omit<Side, "name" | "direction"> {
  return { socket: released.socket, receivedBytes: 0, ended: false, deaf: false, closed: released.closed };
}

/**
 * A write that fails with EPIPE tells that the peer's FIN came first and its RST after it (Linux: RST in CLOSE-WAIT), so
 * bytes and FIN may still wait in the kernel. Node would destroy the socket and lose them. Here the write counts as done,
 * `broken` is called, and reading goes on to its proper end. ECONNRESET means that there was no FIN: that one stays fatal.
 */
function surviveBrokenPipe(socket: Socket, broken: () => void): void {
  const { _write: write, _writev: writev } = SocketClass.prototype;
  type Done = (error?: Error | null) => void;
  const forgiving =
    (done: Done): Done =>
    (error) => {
      const forgiven = (error as NodeJS.ErrnoException | null | undefined)?.code === "EPIPE";
      done(forgiven ? null : error);
      if (forgiven) broken();
    };
  socket._write = (chunk, encoding, done) => write.call(socket, chunk, encoding, forgiving(done));
  if (writev) socket._writev = (chunks, done) => writev.call(socket, chunks, forgiving(done));
}
