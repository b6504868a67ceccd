import { eAgain, spliceMove, spliceNonblock } from "./abi.js";
import { maxSpliceBytes, type Pipe, type Pipes } from "./pipes.js";
import type { Stream } from "./stream.js";

/** A read of this much, several times in a row, is bulk: from then on the bytes stay in the kernel. */
const bulkReadBytes = 16 * 1024;
const bulkAfterReads = 3;
/** A pipeful of less than this, several times in a row, is bulk no more. */
const trickleBytes = 4 * 1024;
const trickleAfter = 4;

/** Bytes from one stream to the other: small ones through the loop's buffer, bulk through a pipe. It closes neither. */
export class Direction {
  readonly name: "ab" | "ba";
  readonly from: Stream;
  readonly to: Stream;
  bytes = 0;
  /** The FIN of `from` is here, and so is every byte before it. */
  ended = false;
  /** `to` takes no more bytes: what comes for it is dropped. */
  deaf = false;
  /** Ended, and everything was given on, the FIN too. */
  done = false;
  /** Negated error number with which `to` has refused bytes, until the splice has dealt with it. */
  refusal: number | undefined;
  readonly #pipes: Pipes;
  /** Received and not taken by `to` yet: these, and then what is in the pipe. */
  #pending: Uint8Array | undefined;
  #pipe: Pipe | undefined;
  #pipedBytes = 0;
  /** Of the loop's buffer: taken, and to be given on in the same breath. */
  #taken = 0;
  /** Large reads in a row, or, once it is bulk, what is left of its credit. */
  #bulk = 0;

  constructor(name: "ab" | "ba", from: Stream, to: Stream, pipes: Pipes) {
    this.name = name;
    this.from = from;
    this.to = to;
    this.#pipes = pipes;
  }

  /** What comes before anything that is still to be received. */
  begin(chunks: readonly Uint8Array[]): void {
    this.#pending = chunks.length > 1 ? Buffer.concat(chunks) : chunks[0];
  }

  /** Whether there is something to give on. */
  get holds(): boolean {
    return this.#pending !== undefined || this.#pipedBytes > 0;
  }

  /**
   * Takes bytes from the source, when it holds none. Returns how many, 0 at the end, or a negated error number of the
   * source. `giveTaken` must follow, or they are dropped.
   */
  take(): number {
    const pipe = this.#bulk < bulkAfterReads || this.deaf || this.from.urgent ? undefined : this.#lend();
    if (pipe !== undefined) return this.#takeBulk(pipe);
    // It is empty, and bulk no more: another flow can use it.
    this.#returnPipe();
    const received = this.from.receive();
    if (received <= 0 || this.deaf) return received;
    this.#bulk = received >= bulkReadBytes ? Math.min(this.#bulk + 1, bulkAfterReads) : 0;
    this.#taken = received;
    return received;
  }

  /** Gives on, out of the loop's buffer, what was just taken into it, and keeps what the destination does not take. */
  giveTaken(): void {
    const taken = this.#taken;
    this.#taken = 0;
    if (taken === 0) return;
    const { scratch } = this.from.loop;
    const sent = this.to.writable ? this.to.send(scratch, taken) : eAgain;
    if (sent === taken) return;
    if (sent < 0 && sent !== eAgain) this.refusal = sent;
    else this.#pending = Buffer.from(scratch.subarray(Math.max(sent, 0), taken));
  }

  #takeBulk(pipe: Pipe): number {
    const { from } = this;
    // Into an empty pipe: so EAGAIN can only mean that there is nothing to take.
    const taken = from.loop.libc.splice(from.descriptor, pipe.in, maxSpliceBytes, spliceMove | spliceNonblock);
    if (taken > 0) {
      this.#pipedBytes = taken;
      if (taken >= trickleBytes) this.#bulk = bulkAfterReads + trickleAfter;
      else if (--this.#bulk <= bulkAfterReads) this.#bulk = 0;
      return taken;
    }
    this.#returnPipe();
    if (taken === 0) {
      // In front of an urgent byte splice(2) says that there is no more although there is: only `recv` knows the end.
      this.#bulk = 0;
      return this.take();
    }
    if (taken === eAgain) from.readable = false;
    return taken < 0 && taken !== eAgain && from.peerEnded ? 0 : taken;
  }

  /** Gives the destination of what it holds. False when that takes no more now. */
  giveOn(): boolean {
    const { to } = this;
    const pending = this.#pending;
    if (this.deaf) {
      this.drop();
      return true;
    }
    if (!to.writable) return false;
    // A partial success does not say that the destination is full; only EAGAIN does, and only after it comes an edge.
    const given =
      pending === undefined
        ? to.loop.libc.splice(this.#pipe!.out, to.descriptor, this.#pipedBytes, spliceMove | spliceNonblock)
        : to.send(pending, pending.length);
    if (given > 0) {
      if (pending === undefined) this.#pipedBytes -= given;
      else this.#pending = given === pending.length ? undefined : pending.subarray(given);
      return true;
    }
    if (given === eAgain) {
      to.writable = false;
      return false;
    }
    this.refusal = given;
    return true;
  }

  /** Lets go of what it holds. */
  drop(): void {
    this.#pending = undefined;
    this.#returnPipe();
  }

  #lend(): Pipe | undefined {
    this.#pipe ??= this.#pipes.lend();
    return this.#pipe;
  }

  #returnPipe(): void {
    if (this.#pipe === undefined) return;
    this.#pipes.takeBack(this.#pipe, this.#pipedBytes);
    this.#pipe = undefined;
    this.#pipedBytes = 0;
  }
}
