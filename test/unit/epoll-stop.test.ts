import test from "ava";
import { deadlineIn } from "../../src/base/deadline.js";
import { eMfile, epollIn } from "../../src/transport/epoll/abi.js";
import { EpollEndpoint } from "../../src/transport/epoll/endpoint.js";
import { acceptFrom } from "../../src/transport/epoll/listen.js";
import { createPipes } from "../../src/transport/epoll/pipes.js";
import { splice } from "../../src/transport/epoll/splice.js";
import { Stream } from "../../src/transport/epoll/stream.js";
import { type PaperKernel, paperKernel } from "./epoll-paper-kernel.js";

const unix = { family: "unix" } as const;
const soon = () => deadlineIn(5000, "hello_timeout");

function endpointOn(kernel: PaperKernel, descriptor: number): EpollEndpoint {
  return new EpollEndpoint(new Stream(kernel.loop, kernel.open(descriptor), "tcp"), unix, unix);
}

test("bug: after the loop was stopped its endpoints went on using descriptors that were closed", async (t) => {
  const kernel = paperKernel();
  const { loop, calls } = kernel;
  const endpoints = [7, 8, 9, 10].map((descriptor) => endpointOn(kernel, descriptor));
  const [destroyed, ended, written, read] = endpoints as [EpollEndpoint, EpollEndpoint, EpollEndpoint, EpollEndpoint];
  const reading = read.read(soon());
  loop.stop();
  await t.throwsAsync(reading, { code: "closed_here" });
  t.is(await read.hangup, "destroyed");
  t.deepEqual(
    calls.filter((call) => call.startsWith("close")).toSorted(),
    [7, 8, 9, 10, 900].map((descriptor) => `close ${descriptor}`).toSorted(),
  );
  calls.length = 0;
  written.write(Buffer.from("into somebody else's connection"));
  ended.end(Buffer.from("the same"));
  destroyed.destroy();
  read.reset();
  await t.throwsAsync(written.read(soon()), { code: "closed_here" });
  t.deepEqual(calls, []);
});

test("stopping ends what is spliced, and what is on its way out", async (t) => {
  const kernel = paperKernel();
  const { loop } = kernel;
  const limits = { idleTimeoutMs: 5000, halfClosedTimeoutMs: 5000, moved() {} };
  const { done } = splice(endpointOn(kernel, 7), endpointOn(kernel, 8), limits, createPipes(loop, 1));
  const leaving = endpointOn(kernel, 9);
  leaving.end(Buffer.from("bye"));
  loop.stop();
  t.is((await done).endedBy, "cut");
  t.deepEqual(kernel.ownership.all(), []);
  t.deepEqual(kernel.faults, []);
});

test("bug: a listener that was out of descriptors when its loop was stopped threw when there were some again", async (t) => {
  const kernel = paperKernel({ accept: () => eMfile });
  const { loop, open, ticket, tell, rounds, calls } = kernel;
  const bound = { descriptor: open(7), address: unix, closed() {} };
  const { promise, resolve } = resolver();
  const listener = acceptFrom(loop, bound, {
    address: { kind: "unix", path: "/nowhere" },
    accept() {},
    starved: (state) => state === "resumed" && resolve(),
  });
  tell(ticket(7), epollIn);
  await rounds();
  loop.stop();
  // The guard looks at the process's own descriptors, of which there are enough. Its timer keeps nobody alive.
  const alive = setInterval(() => {}, 1000);
  t.teardown(() => clearInterval(alive));
  await promise;
  t.deepEqual(kernel.faults, []);
  await listener.close();
  t.deepEqual(calls.filter((call) => call === "close 7").length, 1);
});

function resolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
