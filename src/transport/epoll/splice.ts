import { ProxyError } from "../../base/errors.js";
import type { Endpoint, Splice, SpliceEnd, SpliceOptions } from "../endpoint.js";
import { EndingSplice } from "../splice-end.js";
import { eAgain, ePipe, spliceMove, spliceNonblock } from "./abi.js";
import type { Alarm } from "./alarms.js";
import { EpollEndpoint, lingerMs, type Released } from "./endpoint.js";
import type { EventLoop, Turn } from "./loop.js";
import { maxSpliceBytes, type Pipe, type Pipes } from "./pipes.js";
import { setKeepalive } from "./socket-options.js";
import type { Stream, StreamUser } from "./stream.js";

/** What one direction moves in one turn: then the others have theirs. A tenth of a millisecond's work. */
const turnBytes = 1024 * 1024;
/** A read of this much, several times in a row, is bulk: from then on the bytes stay in the kernel. */
const bulkReadBytes = 16 * 1024;
const bulkAfterReads = 3;
/** A pipeful of less than this, several times in a row, is bulk no more. */
const trickleBytes = 4 * 1024;
const trickleAfter = 4;

/** A connection that has lived this long is probed when it falls silent. Most are over before, and need no probes. */
const keepaliveAfterMs = 20_000;

/** Joins two endpoints; see `Transport.splice`. Throws `internal` where one of them is in a splice already. */
export function splice(a: Endpoint, b: Endpoint, options: SpliceOptions, pipes: Pipes): Splice {
  if (!(a instanceof EpollEndpoint) || !(b instanceof EpollEndpoint) || a === b) {
    throw new ProxyError("internal", "a splice needs two different endpoints of its own engine");
  }
  return new Join(a.release(), b.release(), options, pipes);
}

/** Bytes from one stream to the other. */
class Direction {
  readonly name: "ab" | "ba";
  readonly from: Stream;
  readonly to: Stream;
  /** Received and counted, and not taken by `to` yet: these, and then what is in the pipe. */
  pending: Uint8Array | undefined;
  pipe: Pipe | undefined;
  pipedBytes = 0;
  /** Large reads in a row, or, once it is bulk, what is left of its credit. */
  bulk = 0;
  bytes = 0;
  /** The FIN of `from` is here, and so is every byte before it. */
  ended = false;
  /** `to` takes no more bytes: what comes for it is dropped. */
  deaf = false;
  /** Ended, and everything was given on, the FIN too. */
  done = false;

  constructor(name: "ab" | "ba", from: Stream, to: Stream) {
    this.name = name;
    this.from = from;
    this.to = to;
  }
}

/** A splice under way. It lives by the events of its streams, with no promise and no timer for each chunk. */
class Join extends EndingSplice implements StreamUser, Turn {
  readonly #loop: EventLoop;
  readonly #pipes: Pipes;
  readonly #options: SpliceOptions;
  readonly #ab: Direction;
  readonly #ba: Direction;
  #firstEnd: SpliceEnd | undefined;
  /** A reset, a limit or a cut: comes before an orderly end. */
  #broken: SpliceEnd | undefined;
  #over = false;
  #lastByteAt: number;
  #limit: Alarm | undefined;
  #turnWanted = false;
  #probed = false;
  /** One side has said everything and takes no more; the other has this long to take what is left for it. */
  #lingering: Alarm | undefined;

  constructor(a: Released, b: Released, options: SpliceOptions, pipes: Pipes) {
    super();
    this.#loop = a.stream.loop;
    this.#pipes = pipes;
    this.#options = options;
    this.#lastByteAt = this.#loop.now;
    this.#ab = new Direction("ab", a.stream, b.stream);
    this.#ba = new Direction("ba", b.stream, a.stream);
    a.stream.user = this;
    b.stream.user = this;
    this.#takeOver(a, b);
  }

  cut(): void {
    this.#close("cut");
  }

  onStream(stream: Stream): void {
    if (stream.error !== 0) this.#failed(stream, stream.error);
    this.#pump(this.#ab);
    this.#pump(this.#ba);
  }

  streamFailed(): void {
    this.#close("cut");
  }

  takeTurn(): void {
    this.#turnWanted = false;
    this.#pump(this.#ab);
    this.#pump(this.#ba);
  }

  failed(): void {
    this.#close("cut");
  }

  /** What the endpoints knew before the splice happens now. */
  #takeOver(a: Released, b: Released): void {
    if (a.left === "destroyed" || b.left === "destroyed") return this.#close("cut");
    this.#armLimit();
    this.#begin(this.#ab, b.stream.takeUnsent(), a.unread);
    this.#begin(this.#ba, a.stream.takeUnsent(), b.unread);
    if (a.left === "reset") this.#lost(a.stream);
    if (b.left === "reset") this.#lost(b.stream);
    this.onStream(a.stream);
    if (b.stream.error !== 0) this.#failed(b.stream, b.stream.error);
  }

  #begin(direction: Direction, unsent: readonly Uint8Array[], unread: readonly Uint8Array[]): void {
    for (const bytes of unread) this.#count(direction, bytes.length);
    const [only, ...more] = [...unsent, ...unread];
    direction.pending = more.length === 0 ? only : Buffer.concat([only!, ...more]);
  }

  #count(direction: Direction, bytes: number): void {
    direction.bytes += bytes;
    this.#lastByteAt = this.#loop.now;
    this.#options.moved(direction.name, bytes);
  }

  /** Moves what can be moved now, up to a turn's worth. */
  #pump(direction: Direction): void {
    let budget = turnBytes;
    while (!this.#over && !direction.done) {
      if (direction.pending !== undefined || direction.pipedBytes > 0) {
        if (!this.#giveOn(direction)) return;
      } else if (direction.ended) {
        this.#finish(direction);
      } else if (!direction.from.readable) {
        return;
      } else if (budget <= 0) {
        this.#wantTurn();
        return;
      } else {
        const taken = this.#take(direction);
        if (taken <= 0) {
          if (taken === eAgain) return;
          if (taken === 0) this.#ended(direction);
          else this.#failed(direction.from, taken);
        } else budget -= taken;
      }
    }
  }

  /** Takes bytes from the source and gives on what it can at once. Returns what `receive` does. */
  #take(direction: Direction): number {
    const { from, to } = direction;
    const pipe = direction.bulk < bulkAfterReads || direction.deaf || from.urgent ? undefined : this.#pipeOf(direction);
    if (pipe !== undefined) return this.#takeBulk(direction, pipe);
    // It is empty, and bulk no more: another flow can use it.
    this.#returnPipe(direction);
    const received = from.receive();
    if (received <= 0 || direction.deaf) return received;
    this.#count(direction, received);
    direction.bulk = received >= bulkReadBytes ? Math.min(direction.bulk + 1, bulkAfterReads) : 0;
    const { scratch } = this.#loop;
    const sent = to.writable ? to.send(scratch, received) : eAgain;
    if (sent === received) return received;
    if (sent < 0 && sent !== eAgain) {
      this.#failed(to, sent);
      return received;
    }
    direction.pending = Buffer.from(scratch.subarray(Math.max(sent, 0), received));
    return received;
  }

  #takeBulk(direction: Direction, pipe: Pipe): number {
    const { from } = direction;
    // Into an empty pipe: so EAGAIN can only mean that there is nothing to take.
    const taken = this.#loop.libc.splice(from.descriptor, pipe.in, maxSpliceBytes, spliceMove | spliceNonblock);
    if (taken > 0) {
      direction.pipedBytes = taken;
      this.#count(direction, taken);
      if (taken >= trickleBytes) direction.bulk = bulkAfterReads + trickleAfter;
      else if (--direction.bulk <= bulkAfterReads) direction.bulk = 0;
      return taken;
    }
    this.#returnPipe(direction);
    if (taken === eAgain) from.readable = false;
    return taken < 0 && taken !== eAgain && from.peerEnded ? 0 : taken;
  }

  #pipeOf(direction: Direction): Pipe | undefined {
    direction.pipe ??= this.#pipes.lend();
    return direction.pipe;
  }

  #returnPipe(direction: Direction): void {
    if (direction.pipe === undefined) return;
    this.#pipes.takeBack(direction.pipe, direction.pipedBytes);
    direction.pipe = undefined;
    direction.pipedBytes = 0;
  }

  /** Gives the destination what was taken before. False when it takes no more now. */
  #giveOn(direction: Direction): boolean {
    const { to, pending } = direction;
    if (direction.deaf) {
      direction.pending = undefined;
      this.#returnPipe(direction);
      return true;
    }
    if (!to.writable) return false;
    // A partial success does not say that the destination is full; only EAGAIN does, and only after it comes an edge.
    const given =
      pending === undefined
        ? this.#loop.libc.splice(direction.pipe!.out, to.descriptor, direction.pipedBytes, spliceMove | spliceNonblock)
        : to.send(pending, pending.length);
    if (given > 0) {
      if (pending === undefined) direction.pipedBytes -= given;
      else direction.pending = given === pending.length ? undefined : pending.subarray(given);
      return true;
    }
    if (given === eAgain) {
      to.writable = false;
      return false;
    }
    this.#failed(to, given);
    return true;
  }

  #wantTurn(): void {
    if (this.#turnWanted) return;
    this.#turnWanted = true;
    this.#loop.later(this);
  }

  #ended(direction: Direction): void {
    direction.ended = true;
    this.#firstEnd ??= direction === this.#ab ? "a_ended" : "b_ended";
    this.#lastByteAt = this.#loop.now;
    this.#armLimit();
    if (this.#otherWay(direction).deaf) this.#departed(direction);
  }

  /** Everything of this direction was given on. */
  #finish(direction: Direction): void {
    direction.done = true;
    this.#returnPipe(direction);
    // Where the other direction has ended before, closing says it all.
    if (this.#ab.done && this.#ba.done) return this.#close(undefined);
    if (!direction.deaf) direction.to.shutdown();
    if (this.#otherWay(direction).deaf) this.#linger();
  }

  /** A stream is broken: `error` is the negated error number. */
  #failed(stream: Stream, error: number): void {
    if (this.#over || stream.closed) return;
    stream.error = 0;
    if (error !== ePipe) return this.#lost(stream);
    // Its FIN came first: it takes no more, but bytes before the FIN may still be here, to be carried.
    const from = this.#directionFrom(stream);
    this.#otherWay(from).deaf = true;
    stream.readable = true;
    if (from.ended) this.#departed(from);
  }

  /** A reset is passed on, unless its peer had said everything before. */
  #lost(stream: Stream): void {
    const from = this.#directionFrom(stream);
    this.#otherWay(from).deaf = true;
    if (from.ended) return this.#departed(from);
    this.#broken ??= from === this.#ab ? "a_reset" : "b_reset";
    stream.close();
    from.to.reset();
    this.#settle();
  }

  /** Its source has said everything and takes no more: the other side gets what is left for it, then both are done. */
  #departed(direction: Direction): void {
    const back = this.#otherWay(direction);
    direction.from.close();
    this.#returnPipe(back);
    back.pending = undefined;
    if (direction.done) this.#linger();
  }

  #linger(): void {
    this.#lingering ??= this.#loop.alarm(this.#loop.now + lingerMs, () => this.#close(undefined));
  }

  #otherWay(direction: Direction): Direction {
    return direction === this.#ab ? this.#ba : this.#ab;
  }

  #directionFrom(stream: Stream): Direction {
    return stream === this.#ab.from ? this.#ab : this.#ba;
  }

  #close(why: SpliceEnd | undefined): void {
    if (this.#over) return;
    this.#broken ??= why;
    this.#ab.from.close();
    this.#ba.from.close();
    this.#settle();
  }

  #settle(): void {
    if (this.#over) return;
    this.#over = true;
    this.#returnPipe(this.#ab);
    this.#returnPipe(this.#ba);
    this.#ab.pending = undefined;
    this.#ba.pending = undefined;
    if (this.#limit !== undefined) this.#loop.cancel(this.#limit);
    if (this.#lingering !== undefined) this.#loop.cancel(this.#lingering);
    this.ended({
      bytesAb: this.#ab.bytes,
      bytesBa: this.#ba.bytes,
      endedBy: this.#broken ?? this.#firstEnd ?? "cut",
    });
  }

  /** One alarm for each splice, set anew only when it rings: a byte leaves nothing but its time. */
  #armLimit(): void {
    if (this.#limit !== undefined) this.#loop.cancel(this.#limit);
    const { idleTimeoutMs, halfClosedTimeoutMs } = this.#options;
    const halfClosed = this.#firstEnd !== undefined && halfClosedTimeoutMs < idleTimeoutMs;
    const limitMs = halfClosed ? halfClosedTimeoutMs : idleTimeoutMs;
    const nextLookMs = this.#probed ? limitMs : Math.min(limitMs, keepaliveAfterMs);
    this.#limit = this.#loop.alarm(this.#lastByteAt + nextLookMs, () => {
      if (this.#loop.now - this.#lastByteAt >= limitMs) {
        return this.#close(halfClosed ? "half_closed_timeout" : "idle_timeout");
      }
      this.#probe();
      this.#armLimit();
    });
  }

  #probe(): void {
    if (this.#probed) return;
    this.#probed = true;
    for (const { from } of [this.#ab, this.#ba]) if (!from.closed) setKeepalive(this.#loop.libc, from.descriptor);
  }
}
