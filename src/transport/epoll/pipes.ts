import { descriptorLimit } from "../descriptors.js";
import { fSetPipeSize, sockCloexec, sockNonblock } from "./abi.js";
import type { EventLoop } from "./loop.js";

/** What one splice moves at most. The system moves what fits the pipe's slots, which can be more than its nominal size. */
export const maxSpliceBytes = 1024 * 1024;
/** The first flows in bulk get pipes of the size that moves a byte at the least cost; a crowd makes do with less memory. */
const largePipeBytes = 1024 * 1024;
const pipeBytes = 256 * 1024;
const maxLargePipes = 16;
/** Of the descriptors that the process may have, the last ones are kept for clients: pipes only save time. */
const shareOfDescriptors = 0.75;
/** After the system has refused a pipe, none is asked for this long. */
const refusedMs = 1000;

/** A pipe, lent to one flow while bytes of it are in flight. */
export interface Pipe {
  readonly out: number;
  readonly in: number;
}

/** The pipes of one loop: at most `max`, kept for the next flow when they are empty. */
export interface Pipes {
  /** Undefined where all are lent, or the system gives none that is large enough: then the flow does without. */
  lend(): Pipe | undefined;
  /**
   * `bytes` are still in it, as the flow has counted. With any left it is closed: they must not reach another client.
   */
  takeBack(pipe: Pipe, bytes: number): void;
  /** Closes those that are not lent. */
  closeIdle(): void;
}

export function createPipes(loop: EventLoop, max: number, descriptors = descriptorLimit()): Pipes {
  const idle: Pipe[] = [];
  const ends = new Int32Array(2);
  let open = 0;
  let refusedUntil = 0;
  const mark = descriptors * shareOfDescriptors;

  function close(pipe: Pipe): void {
    open--;
    // A loop that was stopped has closed everything already.
    if (loop.owns(pipe.out)) loop.close(pipe.out);
    if (loop.owns(pipe.in)) loop.close(pipe.in);
  }

  function make(): Pipe | undefined {
    if (open >= max || loop.now < refusedUntil) return undefined;
    const made = loop.libc.pipe(ends as unknown as Uint8Array, sockNonblock | sockCloexec);
    if (made < 0) {
      refusedUntil = loop.now + refusedMs;
      return undefined;
    }
    const [out, into] = [ends[0]!, ends[1]!];
    // The system gives out the lowest free number, so a high one says that all below are taken.
    if (out >= mark || into >= mark) {
      refusedUntil = loop.now + refusedMs;
      loop.libc.close(out);
      loop.libc.close(into);
      return undefined;
    }
    const outOwned = loop.own(out);
    const inOwned = loop.own(into);
    if (!outOwned || !inOwned) {
      if (outOwned) loop.close(out);
      if (inOwned) loop.close(into);
      return undefined;
    }
    const pipe = { out, in: into };
    open++;
    // Above an unprivileged user's share (pipe-user-pages-soft) the system makes tiny pipes and refuses larger ones.
    if ((open <= maxLargePipes && holds(into, largePipeBytes)) || holds(into, pipeBytes)) return pipe;
    refusedUntil = loop.now + refusedMs;
    close(pipe);
    return undefined;
  }

  function holds(pipe: number, bytes: number): boolean {
    return loop.libc.control(pipe, fSetPipeSize, bytes) >= bytes;
  }

  return {
    lend: () => idle.pop() ?? make(),
    takeBack(pipe, bytes) {
      if (bytes === 0) idle.push(pipe);
      else close(pipe);
    },
    closeIdle() {
      for (const pipe of idle.splice(0)) close(pipe);
    },
  };
}
