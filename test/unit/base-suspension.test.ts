import { mock } from "node:test";
import test from "ava";
import { suspensionMeter, watchSuspension } from "../../src/base/suspension.js";

/** A meter on two clocks that the test sets. */
function meter() {
  const clocks = { monotonic: 0, wall: 1_700_000_000_000 };
  const { tick } = suspensionMeter(
    () => clocks.monotonic,
    () => clocks.wall,
  );
  return {
    after(monotonicMs: number, wallMs = monotonicMs) {
      clocks.monotonic += monotonicMs;
      clocks.wall += wallMs;
      return tick();
    },
  };
}

test("ticks in time, and those of a busy loop, are no suspension", (t) => {
  const { after } = meter();
  for (const ms of [1000, 1001, 1500, 4000, 500]) t.is(after(ms), undefined);
});

test("a process that was stopped finds both clocks ahead, one that was asleep with its machine only the wall's", (t) => {
  const { after } = meter();
  t.is(after(61_000), 60_000);
  t.is(after(1000), undefined);
  t.is(after(1000, 3_601_000), 3_600_000);
  t.is(after(1000), undefined);
});

test("a clock that is set back is no suspension, and does not hide the next", (t) => {
  const { after } = meter();
  t.is(after(1000, -3_600_000), undefined);
  t.is(after(11_000, 11_000), 10_000);
  t.is(after(11_000, -3_600_000), 10_000);
});

test("a watch tells of each suspension once, and of none after it was stopped", (t) => {
  mock.timers.enable({ apis: ["setInterval", "Date"] });
  t.teardown(() => mock.timers.reset());
  const noticed: number[] = [];
  const stop = watchSuspension((ms) => noticed.push(ms));
  mock.timers.tick(3000);
  t.deepEqual(noticed, []);
  mock.timers.setTime(Date.now() + 10_000);
  mock.timers.tick(1000);
  t.is(noticed.length, 1);
  mock.timers.tick(1000);
  t.is(noticed.length, 1);
  stop();
  mock.timers.setTime(Date.now() + 10_000);
  mock.timers.tick(1000);
  t.is(noticed.length, 1);
});
