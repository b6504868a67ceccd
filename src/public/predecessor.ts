import { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { monotonic } from "../base/deadline.js";
import { ProxyError } from "../base/errors.js";
import { afUnix, eAgain, eConnRefused, eNoent, sockCloexec, sockNonblock, sockStream } from "../transport/epoll/abi.js";
import { errorText } from "../transport/epoll/error-text.js";
import { type Libc, loadLibc } from "../transport/epoll/libc.js";
import { receiveRights } from "../transport/epoll/rights.js";
import { encodeSocketAddress } from "../transport/epoll/socket-address.js";
import type { InheritedListener } from "../transport/inherited.js";
import type { ExpectedSession } from "./control-plane.js";
import {
  type FromPredecessor,
  type FromSuccessor,
  type Lines,
  lineReader,
  linesOf,
  takeOverVersion,
} from "./take-over-lines.js";

/** The one that runs answers at once; it may be very busy. */
const answerMs = 10_000;
/** It waits itself for no more than `successor.ts` says, and then some. */
const stopAcceptingMs = 20_000;
const lookEveryMs = 5;

/** The process that serves so far. */
export interface Predecessor {
  readonly pid: number;
  /** Its listening sockets, which are this process's too. Nobody may be accepted from them yet. */
  readonly listeners: readonly InheritedListener[];
  /**
   * Tells it that all is there: from now on it drains. Resolves with who is attached there, when the mesh and the admin
   * addresses are free. Throws `address_in_use` where it has given up and goes on serving.
   */
  ready(): Promise<readonly ExpectedSession[]>;
  /** Tells it that private proxies have come. Resolves when it accepts nobody any more, or is gone. */
  attached(): Promise<void>;
  /** It goes on as if nothing had been. The listening sockets stay the caller's. */
  abandon(): void;
}

/** Asks the process that runs, if one does, for its listening sockets. Throws `address_in_use` where it refuses. */
export async function findPredecessor(path: string, name: string): Promise<Predecessor | undefined> {
  const libc = loadLibc();
  const descriptor = connectTo(libc, path);
  if (descriptor === undefined) return undefined;
  const received: number[] = [];
  try {
    const asking: FromSuccessor = { type: "takeOver", version: takeOverVersion, name, pid: process.pid };
    const bytes = Buffer.from(`${JSON.stringify(asking)}\n`);
    const sent = libc.send(descriptor, bytes, bytes.length, 0);
    if (sent !== bytes.length) throw refusal(errorText("send", sent));
    const { pid, listeners } = await receiveListeners(libc, descriptor, received);
    const lines = linesOf<FromPredecessor, FromSuccessor>(
      new Socket({ fd: descriptor, readable: true, writable: true }),
    );
    return predecessorOf(lines, pid, listeners);
  } catch (error) {
    for (const each of [...received, descriptor]) libc.close(each);
    throw error;
  }
}

function predecessorOf(
  lines: Lines<FromPredecessor, FromSuccessor>,
  pid: number,
  listeners: readonly InheritedListener[],
): Predecessor {
  let isReady = false;
  return {
    pid,
    listeners,
    async ready() {
      let hasGone = false;
      void lines.closed.then(() => {
        hasGone = true;
      });
      await pause(0);
      if (hasGone) throw refusal("it has stopped handing over, and goes on");
      isReady = true;
      lines.send({ type: "ready" });
      // Where it has died meanwhile its sockets are free, too.
      return (await lines.next("mesh", answerMs))?.sessions ?? [];
    },
    async attached() {
      lines.send({ type: "attached" });
      await lines.next("accept", stopAcceptingMs);
      lines.close();
    },
    abandon() {
      if (!isReady) lines.close();
    },
  };
}

/** Undefined where nobody listens. */
function connectTo(libc: Libc, path: string): number | undefined {
  const address = encodeSocketAddress({ kind: "unix", path })!;
  const descriptor = libc.socket(afUnix, sockStream | sockNonblock | sockCloexec, 0);
  if (descriptor < 0) throw new ProxyError("descriptors_exhausted", errorText("socket", descriptor));
  const connected = libc.connect(descriptor, address.bytes, address.length);
  if (connected === 0) return descriptor;
  libc.close(descriptor);
  if (connected === eNoent || connected === eConnRefused) return undefined;
  throw refusal(`${path}: ${errorText("connect", connected)}`);
}

/** The first lines, and what came with them. `received` is told of every descriptor. */
async function receiveListeners(libc: Libc, from: number, received: number[]) {
  const listeners: InheritedListener[] = [];
  const lines: FromPredecessor[] = [];
  const read = lineReader<FromPredecessor>((line) => lines.push(line));
  const giveUpAt = monotonic() + answerMs;
  let taken = 0;
  for (;;) {
    const part = receiveRights(libc, from);
    if (part === eAgain) {
      if (monotonic() >= giveUpAt) throw refusal(`it does not answer within ${answerMs} ms`);
      await pause(lookEveryMs);
      continue;
    }
    if (typeof part === "number") throw refusal(errorText("recvmsg", part));
    received.push(...part.descriptors);
    if (part.truncated) throw refusal("this process may not have so many descriptors: raise the limit (ulimit -n)");
    if (part.bytes.length === 0) throw refusal("it has closed the connection");
    read(part.bytes);
    for (const line of lines.splice(0)) {
      if (line.type === "refused") throw refusal(line.why);
      if (line.type !== "listeners") continue;
      for (const listener of line.listeners) {
        const descriptor = received[taken++];
        if (descriptor === undefined) throw refusal("a descriptor is missing");
        listeners.push({ ...listener, descriptor });
      }
      if (line.last) return { pid: line.pid, listeners };
    }
  }
}

function refusal(why: string): ProxyError {
  return new ProxyError("address_in_use", `state.directory: the process that runs does not hand over: ${why}`);
}
