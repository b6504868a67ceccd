import test from "ava";
import { deadlineIn } from "../../src/base/deadline.js";
import { eAgain, eConnReset, epollIn, soLinger } from "../../src/transport/epoll/abi.js";
import { EpollEndpoint } from "../../src/transport/epoll/endpoint.js";
import { createPipes } from "../../src/transport/epoll/pipes.js";
import { splice } from "../../src/transport/epoll/splice.js";
import { Stream } from "../../src/transport/epoll/stream.js";
import { type PaperKernel, paperKernel } from "./epoll-paper-kernel.js";

const unix = { family: "unix" } as const;

function endpointOn(kernel: PaperKernel, descriptor: number): EpollEndpoint {
  return new EpollEndpoint(new Stream(kernel.loop, kernel.open(descriptor), "tcp"), unix, unix);
}

/** A connection that brings full reads without end. */
const flood = (calls: string[]) => (descriptor: number, _into: Uint8Array, length: number) => {
  calls.push(`receive ${descriptor}`);
  return length;
};

test("bug: an ended endpoint whose peer sends without end read on, once, after it was closed, from whoever had its number by then", async (t) => {
  const received: string[] = [];
  const kernel = paperKernel({ receive: flood(received) });
  const { loop, rounds, calls } = kernel;
  t.teardown(() => loop.stop());
  endpointOn(kernel, 7).end();
  // The last second passes, with a turn asked for in every round.
  while (!calls.includes("close 7")) {
    received.length = 0;
    await new Promise(setImmediate);
  }
  received.length = 0;
  await rounds();
  t.deepEqual(received, []);
});

test("bug: an ended endpoint took one more turn in each round with every event of its peer", async (t) => {
  const received: string[] = [];
  const kernel = paperKernel({ receive: flood(received) });
  const { loop, tell, ticket, rounds } = kernel;
  t.teardown(() => loop.stop());
  endpointOn(kernel, 7).end();
  for (let event = 0; event < 20; event++) {
    tell(ticket(7), epollIn);
    await new Promise(setImmediate);
  }
  await rounds();
  received.length = 0;
  await new Promise(setImmediate);
  t.true(received.length <= 4, `${received.length} reads in a round`);
});

test("bug: a reset that a write had met was taken for the peer's FIN by the next read", async (t) => {
  const kernel = paperKernel({ send: () => eConnReset, receive: () => 0 });
  t.teardown(() => kernel.loop.stop());
  const endpoint = endpointOn(kernel, 7);
  endpoint.write(Buffer.from("a header for a peer that has reset"));
  await t.throwsAsync(endpoint.read(deadlineIn(1000, "hello_timeout")), { code: "peer_reset" });
  t.is(await endpoint.hangup, "reset");
});

test("bug: a reset that a write had met was passed on as a FIN by the splice", async (t) => {
  const options: string[] = [];
  const kernel = paperKernel({
    send: () => eConnReset,
    receive: (descriptor) => (descriptor === 7 ? 0 : eAgain),
    setOption: (descriptor, _level, option) => options.push(`${descriptor}: ${option}`),
  });
  t.teardown(() => kernel.loop.stop());
  const [a, b] = [endpointOn(kernel, 8), endpointOn(kernel, 7)];
  b.write(Buffer.from("a hello for a server that has reset"));
  const limits = { idleTimeoutMs: 5000, halfClosedTimeoutMs: 5000, moved() {} };
  const { done } = splice(a, b, limits, createPipes(kernel.loop, 1));
  t.is((await done).endedBy, "b_reset");
  t.deepEqual(options, [`8: ${soLinger}`], "a reset goes out");
});
