import { eAgain, epollAdd, epollEventLayout } from "../../src/transport/epoll/abi.js";
import type { Libc } from "../../src/transport/epoll/libc.js";
import { EventLoop } from "../../src/transport/epoll/loop.js";
import { createOwnership, mainThread, type Ownership } from "../../src/transport/epoll/ownership.js";

/**
 * A kernel of paper under a real loop: it notes what it is asked for, and tells of whatever a test plants. So what must
 * never happen with descriptors can be tried without the luck that it takes with real ones.
 */
export interface PaperKernel {
  readonly loop: EventLoop;
  readonly ownership: Ownership;
  /** `close 7`, in the order of the calls that name a descriptor. */
  readonly calls: string[];
  /** What the loop was told as a fault of this program. */
  readonly faults: unknown[];
  /** A new descriptor with this number, owned by the loop. */
  open(descriptor: number): number;
  /** What epoll was given to say of this descriptor, as it is watched now. */
  ticket(descriptor: number): Uint8Array;
  /** The next wait tells of this ticket, whatever has become of its descriptor. */
  tell(ticket: Uint8Array, events: number): void;
  /** Lets the loop go round, until everything planted was told and one round more. */
  rounds(): Promise<void>;
}

const layout = epollEventLayout(process.arch);

export function paperKernel(behaviour: Partial<Libc> = {}): PaperKernel {
  const calls: string[] = [];
  const tickets = new Map<number, Uint8Array>();
  const planted: Uint8Array[] = [];
  const faults: unknown[] = [];
  let epolls = 900;
  const noted =
    (name: string, result = 0) =>
    (descriptor: number) => {
      calls.push(`${name} ${descriptor}`);
      return result;
    };
  const libc = {
    epollCreate: () => epolls++,
    epollControl(_epoll, operation, descriptor, event) {
      if (operation === epollAdd) tickets.set(descriptor, bytesOf(event).slice());
      return 0;
    },
    epollWait(_epoll, events) {
      const into = bytesOf(events);
      const told = planted.splice(0);
      for (const [index, event] of told.entries()) into.set(event, index * layout.bytes);
      return told.length;
    },
    close: noted("close"),
    receive: noted("receive", eAgain),
    send: (descriptor: number, _bytes: Uint8Array, length: number) => noted("send", length)(descriptor),
    shutdown: noted("shutdown"),
    setOption: noted("setOption"),
    getOption: noted("getOption"),
    splice: noted("splice", eAgain),
    ...behaviour,
  } as Libc;
  const ownership = createOwnership(new SharedArrayBuffer(1024 * 4), mainThread);
  const loop = new EventLoop({ libc, ownership, maxBlockMs: 0, fault: (error) => faults.push(error) });
  return {
    loop,
    ownership,
    calls,
    faults,
    open(descriptor) {
      loop.own(descriptor);
      return descriptor;
    },
    ticket: (descriptor) => tickets.get(descriptor)!.slice(),
    tell(ticket, events) {
      new DataView(ticket.buffer).setUint32(0, events >>> 0, true);
      planted.push(ticket);
    },
    async rounds() {
      do await new Promise(setImmediate);
      while (planted.length > 0);
      await new Promise(setImmediate);
    },
  };
}

/** The loop hands its events over as words. */
function bytesOf(words: Uint8Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}
