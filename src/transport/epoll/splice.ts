import { ProxyError } from "../../base/errors.js";
import type { Endpoint, Splice, SpliceEnd, SpliceOptions } from "../endpoint.js";
import { EndingSplice } from "../splice-end.js";
import { eAgain, ePipe } from "./abi.js";
import type { Alarm } from "./alarms.js";
import { Direction } from "./direction.js";
import { EpollEndpoint, lingerMs, type Released } from "./endpoint.js";
import type { EventLoop, Turn } from "./loop.js";
import type { Pipes } from "./pipes.js";
import { setKeepalive } from "./socket-options.js";
import type { Stream, StreamUser } from "./stream.js";

/** What one direction moves in one turn, in a fraction of a millisecond: then the others have theirs. */
const turnBytes = 1024 * 1024;
/** A connection that has lived this long is probed when it falls silent. Most are over before, and need no probes. */
const keepaliveAfterMs = 20_000;

/** Joins two endpoints; see `Transport.splice`. Throws `internal` where one of them is in a splice already. */
export function splice(a: Endpoint, b: Endpoint, options: SpliceOptions, pipes: Pipes): Splice {
  if (!(a instanceof EpollEndpoint) || !(b instanceof EpollEndpoint) || a === b) {
    throw new ProxyError("internal", "a splice needs two different endpoints of its own engine");
  }
  return new Join(a.release(), b.release(), options, pipes);
}

/** A splice under way. It lives by the events of its streams, with no promise and no timer for each chunk. */
class Join extends EndingSplice implements StreamUser, Turn {
  readonly #loop: EventLoop;
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
    this.#options = options;
    this.#lastByteAt = this.#loop.now;
    this.#ab = new Direction("ab", a.stream, b.stream, pipes);
    this.#ba = new Direction("ba", b.stream, a.stream, pipes);
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
    direction.begin([...unsent, ...unread]);
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
      if (direction.holds) {
        if (!direction.giveOn()) return;
      } else if (direction.ended) {
        this.#finish(direction);
      } else if (!direction.from.readable) {
        return;
      } else if (budget <= 0) {
        this.#wantTurn();
        return;
      } else {
        const taken = direction.take();
        if (taken === eAgain) return;
        if (taken === 0) this.#ended(direction);
        else if (taken < 0) this.#failed(direction.from, taken);
        else if (!direction.deaf) {
          this.#count(direction, taken);
          direction.giveTaken();
        }
        budget -= taken;
      }
      const { refusal } = direction;
      direction.refusal = undefined;
      if (refusal !== undefined) this.#failed(direction.to, refusal);
    }
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
    direction.drop();
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
    back.drop();
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
    this.#ab.drop();
    this.#ba.drop();
    if (this.#limit !== undefined) this.#loop.cancel(this.#limit);
    if (this.#lingering !== undefined) this.#loop.cancel(this.#lingering);
    this.ended({
      bytesAb: this.#ab.bytes,
      bytesBa: this.#ba.bytes,
      endedBy: this.#broken ?? this.#firstEnd ?? "cut",
    });
  }

  /** One alarm for each splice. A byte leaves nothing but its time: the alarm looks at that when it rings. */
  #armLimit(): void {
    const at = this.#lastByteAt + (this.#probed ? this.#limitMs : Math.min(this.#limitMs, keepaliveAfterMs));
    if (this.#limit !== undefined) {
      // It looks soon enough, and sets another one then.
      if (this.#limit.at <= at) return;
      this.#loop.cancel(this.#limit);
    }
    this.#limit = this.#loop.alarm(at, () => this.#look());
  }

  /** Which of the two limits counts now. */
  get #limitMs(): number {
    const { idleTimeoutMs, halfClosedTimeoutMs } = this.#options;
    return this.#firstEnd === undefined ? idleTimeoutMs : Math.min(idleTimeoutMs, halfClosedTimeoutMs);
  }

  #look(): void {
    this.#limit = undefined;
    // The very sum by which the alarm is set: with another it could be due and not over, in one round for ever.
    if (this.#loop.now >= this.#lastByteAt + this.#limitMs) {
      return this.#close(this.#limitMs < this.#options.idleTimeoutMs ? "half_closed_timeout" : "idle_timeout");
    }
    this.#probe();
    this.#armLimit();
  }

  #probe(): void {
    if (this.#probed) return;
    this.#probed = true;
    for (const { from } of [this.#ab, this.#ba]) if (!from.closed) setKeepalive(this.#loop.libc, from.descriptor);
  }
}
