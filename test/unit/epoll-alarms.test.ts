import test from "ava";
import fc from "fast-check";
import { type Alarm, Alarms } from "../../src/transport/epoll/alarms.js";
import { memoryAlive } from "../harness/memory.js";

type Step =
  | { readonly does: "set"; readonly at: number }
  | { readonly does: "cancel"; readonly which: number }
  | { readonly does: "pass"; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ does: fc.constant("set" as const), at: fc.integer({ min: 0, max: 60 }) }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constant("cancel" as const), which: fc.nat(400) }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 9 }) }) },
);

test("alarms ring in order, none too early, none late, none after it was cancelled, as a sorted list would have it", (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: "max" }), (steps) => {
      const alarms = new Alarms();
      const made: Alarm[] = [];
      const rung: number[] = [];
      let expected: { readonly at: number; readonly number: number }[] = [];
      let now = 0;
      for (const step of steps) {
        if (step.does === "set") {
          const number = made.length;
          made.push(alarms.set(now + step.at, () => rung.push(number)));
          expected.push({ at: now + step.at, number });
        } else if (step.does === "cancel") {
          const number = step.which % (made.length + 1);
          const alarm = made[number];
          // Also those that have rung, and those cancelled before.
          if (alarm !== undefined) alarms.cancel(alarm);
          expected = expected.filter((one) => one.number !== number);
        } else {
          now += step.ms;
          rung.length = 0;
          for (let ring = alarms.due(now); ring !== undefined; ring = alarms.due(now)) ring();
          const due = expected.filter(({ at }) => at <= now).toSorted((a, b) => a.at - b.at);
          t.deepEqual(
            rung.map((number) => made[number]?.at),
            due.map(({ at }) => at),
          );
          t.deepEqual(rung.toSorted(), due.map(({ number }) => number).toSorted());
          expected = expected.filter(({ at }) => at > now);
        }
        t.is(alarms.size, expected.length);
        t.is(alarms.next(), Math.min(Number.POSITIVE_INFINITY, ...expected.map(({ at }) => at)));
      }
    }),
    { numRuns: 200 },
  );
});

test("what rings may set and cancel others", (t) => {
  const alarms = new Alarms();
  const rung: string[] = [];
  const victim = alarms.set(2, () => rung.push("cancelled before"));
  alarms.set(1, () => {
    rung.push("first");
    alarms.cancel(victim);
    alarms.set(2, () => rung.push("set meanwhile"));
  });
  for (let ring = alarms.due(3); ring !== undefined; ring = alarms.due(3)) ring();
  t.deepEqual(rung, ["first", "set meanwhile"]);
  t.is(alarms.size, 0);
});

test("clearing forgets all, and what was set before may still be cancelled", (t) => {
  const alarms = new Alarms();
  const before = Array.from({ length: 200 }, (_, at) => alarms.set(at, () => t.fail()));
  alarms.clear();
  for (const alarm of before) alarms.cancel(alarm);
  t.is(alarms.size, 0);
  t.is(alarms.due(1000), undefined);
  alarms.set(5, () => {});
  t.deepEqual([alarms.size, alarms.next()], [1, 5]);
});

test.serial(
  "a million deadlines that are set and cancelled leave nothing behind, beside a thousand that stay",
  async (t) => {
    const alarms = new Alarms();
    const staying = Array.from({ length: 1000 }, (_, at) => alarms.set(1e9 + at, () => {}));
    const before = await memoryAlive();
    const started = performance.now();
    for (let index = 0; index < 1_000_000; index++) {
      const payload = new Array(8).fill(index);
      alarms.cancel(alarms.set(index % 7919, () => payload.length));
    }
    const tookMs = performance.now() - started;
    const grownBytes = (await memoryAlive()).heapBytes - before.heapBytes;
    t.true(grownBytes < 512 * 1024, `${grownBytes} bytes`);
    t.true(tookMs < 5000, `${tookMs} ms`);
    t.is(alarms.size, staying.length);
  },
);
