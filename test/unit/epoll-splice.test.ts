import test, { type ExecutionContext } from "ava";
import {
  eAgain,
  eConnReset,
  ePipe,
  epollErr,
  epollHup,
  epollIn,
  epollOut,
  epollRdhup,
} from "../../src/transport/epoll/abi.js";
import { EpollEndpoint } from "../../src/transport/epoll/endpoint.js";
import type { Libc } from "../../src/transport/epoll/libc.js";
import type { Pipe, Pipes } from "../../src/transport/epoll/pipes.js";
import { splice } from "../../src/transport/epoll/splice.js";
import { Stream } from "../../src/transport/epoll/stream.js";
import { type PaperKernel, paperKernel } from "./epoll-paper-kernel.js";

const unix = { family: "unix" } as const;
const pipe: Pipe = { out: 20, in: 21 };

/** One pipe, and with how many bytes it came back. */
function onePipe(): Pipes & { lent: boolean; readonly takenBack: number[] } {
  return {
    lent: false,
    takenBack: [],
    lend() {
      if (this.lent) return undefined;
      this.lent = true;
      return pipe;
    },
    takeBack(_pipe, bytes) {
      this.lent = false;
      this.takenBack.push(bytes);
    },
    closeIdle() {},
  };
}

/** What connection 7 brings, read by read; then nothing. What is in the pipe goes out to 8 as `out` says. */
function bringing(
  reads: readonly number[],
  pipefuls: readonly number[],
  out: (bytes: number) => number,
): Partial<Libc> {
  const [toRead, toSplice] = [[...reads], [...pipefuls]];
  return {
    receive: (descriptor) => (descriptor === 7 ? (toRead.shift() ?? eAgain) : eAgain),
    splice: (from, _to, bytes) => (from === pipe.out ? out(bytes) : (toSplice.shift() ?? eAgain)),
  };
}

async function spliced(t: ExecutionContext, behaviour: Partial<Libc>) {
  const kernel = paperKernel(behaviour);
  t.teardown(() => kernel.loop.stop());
  const pipes = onePipe();
  const moved = { ab: 0, ba: 0 };
  const limits = {
    idleTimeoutMs: 5000,
    halfClosedTimeoutMs: 5000,
    moved: (direction: "ab" | "ba", bytes: number) => {
      moved[direction] += bytes;
    },
  };
  const join = splice(endpointOn(kernel, 7), endpointOn(kernel, 8), limits, pipes);
  kernel.tell(kernel.ticket(8), epollOut);
  kernel.tell(kernel.ticket(7), epollIn);
  await kernel.rounds();
  return { kernel, pipes, moved, join };
}

function endpointOn(kernel: PaperKernel, descriptor: number): EpollEndpoint {
  return new EpollEndpoint(new Stream(kernel.loop, kernel.open(descriptor), "tcp"), unix, unix);
}

const bulk = [1 << 16, 1 << 16, 1 << 16];

test("a flow in bulk has a pipe while bytes are in flight, and gives it back when none are", async (t) => {
  const { pipes, moved } = await spliced(
    t,
    bringing(bulk, [1 << 18, 1 << 18], (bytes) => bytes),
  );
  t.deepEqual([pipes.lent, moved.ab], [false, 3 * (1 << 16) + 2 * (1 << 18)]);
  t.deepEqual([...new Set(pipes.takenBack)], [0]);
});

test("bug: a flow that was in bulk no longer kept its pipe, empty, for as long as it lived", async (t) => {
  const { pipes } = await spliced(
    t,
    bringing(bulk, [1 << 18, 100, 100, 100, 100], (bytes) => bytes),
  );
  t.deepEqual([pipes.lent, pipes.takenBack], [false, [0]]);
});

test("a reader that stalls keeps its pipe with what is in it, and the pipe comes back with that count when it is over", async (t) => {
  let room = 1000;
  const out = (bytes: number) => {
    if (room === 0) return eAgain;
    const given = Math.min(room, bytes);
    room -= given;
    return given;
  };
  const { pipes, join } = await spliced(t, bringing(bulk, [1 << 18], out));
  t.true(pipes.lent);
  join.cut();
  t.deepEqual(pipes.takenBack, [(1 << 18) - 1000]);
});

test("a reader that resets with bytes in the pipe gets them not, and nobody else does", async (t) => {
  const { pipes, join } = await spliced(
    t,
    bringing(bulk, [1 << 18], () => eConnReset),
  );
  t.is((await join.done).endedBy, "b_reset");
  t.deepEqual(pipes.takenBack, [1 << 18]);
});

test("bug: what was dropped for a reader that had gone counted as moved, and put off the limits", async (t) => {
  let gone = false;
  const { kernel, moved } = await spliced(t, {
    receive: (descriptor) => {
      if (descriptor === 7) return gone ? 100 : eAgain;
      return eAgain;
    },
    getOption(_descriptor, _level, _option, value) {
      new Int32Array(value.buffer)[0] = -ePipe;
      return 0;
    },
  });
  // The server has said something, has gone, and the client does not take what it said.
  gone = true;
  kernel.tell(kernel.ticket(8), epollIn | epollErr | epollHup | epollRdhup);
  kernel.tell(kernel.ticket(7), epollIn);
  await kernel.rounds();
  t.deepEqual(moved, { ab: 0, ba: 0 });
});
