import test from "ava";
import { codeOf, ProxyError } from "../../src/base/errors.js";
import { type Reaching, reachAfter, reaching } from "../../src/private/queued-reach.js";
import { createTargetQueue } from "../../src/private/target-queue.js";
import type { Endpoint } from "../../src/transport/endpoint.js";
import { handClock } from "./announcing.js";
import { fakeEndpoint } from "./fake-endpoint.js";

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const whileWaiting = { at: 1, code: "offer_expired" } as const;
const afterwards = { at: 2, code: "connect_timeout" } as const;

/** One at the target, and one that waits to dial it. */
function scene() {
  const now = handClock();
  const queue = createTargetQueue({ limits: { maxConnections: 1, max: 9, timeoutMs: 100 }, now, alarm: now.alarm });
  const first = queue.enter();
  const place = queue.enter();
  const dials: { connect(endpoint: Endpoint): void; cancelled: boolean }[] = [];
  const dial = (): Reaching => {
    let connect!: (endpoint: Endpoint) => void;
    let fail!: (error: Error) => void;
    const connected = new Promise<Endpoint>((resolve, reject) => {
      connect = resolve;
      fail = reject;
    });
    const made = { connect, cancelled: false };
    dials.push(made);
    const cancel = () => {
      made.cancelled = true;
      fail(new ProxyError("offer_cancelled"));
    };
    return reaching({ connected, cancel }, afterwards);
  };
  const second = reachAfter(place, place.wait!, whileWaiting, dial);
  const outcome = second.connected.then(
    () => "connected",
    (error: unknown) => codeOf(error) as string,
  );
  return { queue, now, first, place, dials, second, outcome };
}

test("the target is dialled when its place is there, by a deadline of its own", async (t) => {
  const { first, dials, second, outcome, queue } = scene();
  await settle();
  t.is(dials.length, 0);
  t.is(second.deadline, whileWaiting);
  first.leave();
  await settle();
  t.is(second.deadline, afterwards);
  dials[0]!.connect(fakeEndpoint());
  t.is(await outcome, "connected");
  t.deepEqual([queue.live, queue.queued], [1, 0]);
});

test("a queue's time limit is told as it is", async (t) => {
  const { now, outcome, dials } = scene();
  now.pass(100);
  t.is(await outcome, "target_queue_timeout");
  t.is(dials.length, 0);
});

test("a client that leaves while it waits is out of the queue at once, and nobody is dialled for it", async (t) => {
  const { first, second, queue, outcome, dials } = scene();
  second.cancel();
  second.cancel();
  t.is(queue.queued, 0);
  first.leave();
  t.is(await outcome, "offer_cancelled");
  t.deepEqual([dials.length, queue.live], [0, 0]);
});

test("a client that leaves in the turn in which its place comes is not dialled for either", async (t) => {
  const { first, second, queue, outcome, dials } = scene();
  first.leave();
  second.cancel();
  t.is(await outcome, "offer_cancelled");
  t.deepEqual([dials.length, queue.live], [0, 0]);
});

test("a client that leaves while the target is dialled gives up both, and one that leaves later keeps its place until it is over", async (t) => {
  const dialling = scene();
  dialling.first.leave();
  await settle();
  dialling.second.cancel();
  t.is(await dialling.outcome, "offer_cancelled");
  t.deepEqual([dialling.dials[0]!.cancelled, dialling.queue.live], [true, 0]);

  const connected = scene();
  connected.first.leave();
  await settle();
  connected.dials[0]!.connect(fakeEndpoint());
  await connected.outcome;
  connected.second.cancel();
  t.deepEqual([connected.dials[0]!.cancelled, connected.queue.live], [true, 1]);
  connected.place.leave();
  t.is(connected.queue.live, 0);
});
