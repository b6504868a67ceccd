import { once } from "node:events";
import { MessageChannel } from "node:worker_threads";
import test from "ava";
import { mainEnd, workerEnd } from "../../src/base/thread-port.js";
import { assertNothingLeft } from "../harness/leaks.js";

assertNothingLeft(test);

/** Both ends on one thread: what is between them does not know. */
function ends() {
  const { port1, port2 } = new MessageChannel();
  const faults: unknown[] = [];
  const fault = (error: unknown) => faults.push(error);
  let wakes = 0;
  const main = mainEnd<string, string>({ channel: port1, fault, wake: () => wakes++ });
  const worker = workerEnd<string, string>({ channel: port2, fault });
  return {
    main,
    worker,
    channel: port1,
    faults,
    get wakes() {
      return wakes;
    },
  };
}

const round = () => new Promise((resolve) => setImmediate(resolve));

test("what the main thread posts in one round travels together, with one wake, in order", async (t) => {
  const both = ends();
  const got: string[] = [];
  both.worker.receive((message) => got.push(message));
  for (const message of ["a", "b", "c"]) both.main.post(message);
  t.is(both.wakes, 0);
  await round();
  t.is(both.wakes, 1);
  both.worker.drain();
  t.deepEqual(got, ["a", "b", "c"]);
  await round();
  t.is(both.wakes, 1, "an empty round wakes nobody");
  both.main.close();
});

test("what the worker posts travels when it is flushed, as one message", async (t) => {
  const { main, worker, channel } = ends();
  const got: string[] = [];
  main.receive((message) => got.push(message));
  let messages = 0;
  channel.on("message", () => messages++);
  worker.post("a");
  worker.post("b");
  worker.flush();
  worker.flush();
  await once(channel, "message");
  t.deepEqual(got, ["a", "b"]);
  t.is(messages, 1);
  worker.close();
});

test("messages that come before there is a handler are kept, on both sides", async (t) => {
  const { main, worker, channel } = ends();
  main.post("to the worker");
  worker.post("to the main thread");
  worker.flush();
  await round();
  worker.drain();
  const got: string[] = [];
  worker.receive((message) => got.push(message));
  main.receive((message) => got.push(message));
  await once(channel, "message");
  t.deepEqual(got, ["to the worker", "to the main thread"]);
  main.close();
});

test("a handler that throws loses none of the other messages of the batch", async (t) => {
  const { main, worker, channel, faults } = ends();
  const got: string[] = [];
  const fail = (message: string) => {
    if (message === "bad") throw new Error("planted");
    got.push(message);
  };
  worker.receive(fail);
  main.receive(fail);
  for (const message of ["1", "bad", "2"]) {
    main.post(message);
    worker.post(message);
  }
  await round();
  worker.drain();
  worker.flush();
  await once(channel, "message");
  t.deepEqual(got, ["1", "2", "1", "2"]);
  t.is(faults.length, 2);
  main.close();
});

test("what a thread said last is heard although it has ended", async (t) => {
  const { main, worker } = ends();
  const got: string[] = [];
  main.receive((message) => got.push(message));
  worker.post("last words");
  worker.close();
  main.drain();
  t.deepEqual(got, ["last words"]);
  main.post("to nobody");
  main.close();
  main.post("after the end");
  await round();
});
