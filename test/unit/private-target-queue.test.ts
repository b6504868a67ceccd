import test from "ava";
import fc from "fast-check";
import { codeOf, ProxyError } from "../../src/base/errors.js";
import { createTargetQueue, type Place, type QueueLimits } from "../../src/private/target-queue.js";
import { handClock } from "./announcing.js";

/** Lets promises that have settled be noticed. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** What became of each client, in the order in which it was known. */
function queueOf(limits: QueueLimits) {
  const now = handClock();
  const queue = createTargetQueue({ limits, now, alarm: now.alarm });
  const news: string[] = [];
  const enter = (name: string): Place | undefined => {
    try {
      const place = queue.enter();
      if (place.wait === undefined) news.push(`${name} in`);
      else
        place.wait.over.then(
          () => news.push(`${name} in`),
          (error: unknown) => news.push(`${name} ${codeOf(error)}`),
        );
      return place;
    } catch (error) {
      news.push(`${name} ${codeOf(error)}`);
      return undefined;
    }
  };
  return { queue, now, news, enter, counts: () => [queue.live, queue.queued, now.alarms] };
}

type Step =
  | { readonly type: "enter" }
  | { readonly type: "leave"; readonly who: number }
  | { readonly type: "pass"; readonly ms: number }
  | { readonly type: "callOff" }
  | { readonly type: "configure"; readonly limits: QueueLimits };

const anyLimits: fc.Arbitrary<QueueLimits> = fc.record({
  maxConnections: fc.oneof({ weight: 8, arbitrary: fc.integer({ min: 1, max: 4 }) }, fc.constant(Infinity)),
  max: fc.integer({ min: 0, max: 4 }),
  timeoutMs: fc.integer({ min: 1, max: 20 }),
});
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ type: "enter" } as const) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("leave" as const), who: fc.nat({ max: 30 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 15 }) }) },
  { weight: 1, arbitrary: fc.constant({ type: "callOff" } as const) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("configure" as const), limits: anyLimits }) },
);

/** Two lists, and everything that has happened to whoever is in neither. */
function createModel(first: QueueLimits) {
  let limits = first;
  let at = 0;
  let live: number[] = [];
  let waiting: { who: number; until: number }[] = [];
  const fate = new Map<number, string>();

  function letIn(): void {
    while (waiting.length > 0 && live.length < limits.maxConnections) {
      const { who } = waiting.shift()!;
      live.push(who);
      fate.set(who, "in");
    }
  }

  function sendAway(gone: (one: { who: number; until: number }) => boolean, code: string): void {
    for (const one of waiting.filter(gone)) fate.set(one.who, code);
    waiting = waiting.filter((one) => !gone(one));
  }

  return {
    fate,
    counts: () => [live.length, waiting.length, waiting.length],
    step(step: Step, newcomer: number): void {
      if (step.type === "enter") {
        if (live.length < limits.maxConnections) {
          live.push(newcomer);
          fate.set(newcomer, "in");
        } else if (waiting.length < limits.max) waiting.push({ who: newcomer, until: at + limits.timeoutMs });
        else fate.set(newcomer, "target_queue_full");
      } else if (step.type === "leave") {
        sendAway(({ who }) => who === step.who, "offer_cancelled");
        live = live.filter((who) => who !== step.who);
      } else if (step.type === "pass") {
        at += step.ms;
        sendAway(({ until }) => until <= at, "target_queue_timeout");
      } else if (step.type === "callOff") sendAway(() => true, "name_not_served");
      else limits = step.limits;
      letIn();
    },
  };
}

test("whatever happens, it holds who the model holds: first in, first out, nobody lost, no alarm left over", async (t) => {
  await fc.assert(
    fc.asyncProperty(anyLimits, fc.array(anyStep, { maxLength: 60 }), async (limits, steps) => {
      const { queue, now, news, enter, counts } = queueOf(limits);
      const model = createModel(limits);
      const places: (Place | undefined)[] = [];
      for (const step of steps) {
        model.step(step, places.length);
        if (step.type === "enter") places.push(enter(`${places.length}`));
        else if (step.type === "leave") {
          places[step.who]?.leave();
          places[step.who]?.leave();
        } else if (step.type === "pass") now.pass(step.ms);
        else if (step.type === "callOff") queue.callOff(new ProxyError("name_not_served"));
        else queue.configure(step.limits);
        t.deepEqual(counts(), model.counts());
        await Promise.resolve();
      }
      await settle();
      t.deepEqual(news.toSorted(), [...model.fate].map(([who, what]) => `${who} ${what}`).toSorted());
      for (const place of places) place?.leave();
      t.deepEqual(counts(), [0, 0, 0]);
    }),
  );
});

test("a place that becomes free goes to the one that waits longest, in the same turn", async (t) => {
  const { queue, news, enter } = queueOf({ maxConnections: 1, max: 9, timeoutMs: 100 });
  const first = enter("first")!;
  for (const name of ["second", "third"]) enter(name);
  t.deepEqual([queue.live, queue.queued], [1, 2]);
  first.leave();
  t.deepEqual([queue.live, queue.queued], [1, 1]);
  await Promise.resolve();
  t.deepEqual(news, ["first in", "second in"]);
});

test("nobody overtakes those who wait", async (t) => {
  const { enter, news } = queueOf({ maxConnections: 2, max: 99, timeoutMs: 100 });
  const places = Array.from({ length: 50 }, (_, i) => enter(`${i}`)!);
  for (const place of places) {
    place.leave();
    await Promise.resolve();
  }
  t.deepEqual(
    news,
    places.map((_, i) => `${i} in`),
  );
});

test("who waits is told for how long at most, and where there is no queue everybody else is declined at once", (t) => {
  const { enter, news } = queueOf({ maxConnections: 1, max: 1, timeoutMs: 70 });
  t.is(enter("first")?.wait, undefined);
  t.is(enter("second")?.wait?.maxMs, 70);
  const none = queueOf({ maxConnections: 1, max: 0, timeoutMs: 70 });
  none.enter("first");
  none.enter("second");
  t.deepEqual(none.news, ["first in", "second target_queue_full"]);
  t.deepEqual(news, ["first in"]);
});

test("a place given to a client that leaves in the same turn goes to the next one", async (t) => {
  const { enter, news, counts } = queueOf({ maxConnections: 1, max: 9, timeoutMs: 100 });
  const [first, second] = [enter("first")!, enter("second")!];
  enter("third");
  first.leave();
  second.leave();
  await settle();
  t.deepEqual(counts(), [1, 0, 0]);
  t.deepEqual(news, ["first in", "second in", "third in"]);
});

test("a lower cap sends nobody away, and lets nobody in before there is room under it", async (t) => {
  const { queue, enter, news, counts } = queueOf({ maxConnections: 3, max: 9, timeoutMs: 100 });
  const places = ["a", "b", "c", "d"].map((name) => enter(name)!);
  queue.configure({ maxConnections: 1, max: 0, timeoutMs: 5 });
  t.deepEqual(counts(), [3, 1, 1]);
  places[0]!.leave();
  places[1]!.leave();
  t.deepEqual(counts(), [1, 1, 1]);
  places[2]!.leave();
  await settle();
  t.deepEqual(counts(), [1, 0, 0]);
  t.deepEqual(news, ["a in", "b in", "c in", "d in"]);
});
