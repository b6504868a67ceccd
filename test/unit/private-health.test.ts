import test from "ava";
import fc from "fast-check";
import {
  type Health,
  judge,
  type ProbeResult,
  unchecked,
  type WatchOptions,
  watchHealth,
} from "../../src/private/health.js";

const passed: ProbeResult = { status: "passed" };
const failed: ProbeResult = { status: "failed", why: "refused" };
const anyBound = fc.integer({ min: 1, max: 5 });

/** What the last results have in common: how many of them in a row say the same. */
function runLength(results: readonly boolean[]): number {
  const last = results.at(-1);
  return results.length - 1 - results.findLastIndex((result) => result !== last);
}

test("the first check decides; then rise good ones in a row, and not one less, make it up, and fall failed ones down", (t) => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 60 }), anyBound, anyBound, (results, rise, fall) => {
      let health: Health = unchecked;
      let isUp: boolean | undefined;
      for (const [at, good] of results.entries()) {
        health = judge(health, good ? passed : failed, { rise, fall });
        const run = runLength(results.slice(0, at + 1));
        if (at === 0) isUp = good;
        else if (run >= (good ? rise : fall)) isUp = good;
        t.is(health.state, isUp ? "up" : "down");
      }
    }),
  );
});

test("why it is down is what its last failed check has met", (t) => {
  const check = { rise: 3, fall: 1 };
  let health = judge(unchecked, failed, check);
  t.like(health, { state: "down", why: "refused" });
  health = judge(health, passed, check);
  t.like(health, { state: "down", why: "refused", passed: 1 });
  health = judge(health, { status: "failed", why: "silent" }, check);
  t.like(health, { state: "down", why: "silent", passed: 0 });
});

/** A clock in the test's hand, and probes that take as long, and end, as the test says. */
function watched(
  probes: readonly { readonly ms: number; readonly result: ProbeResult }[],
  options: Partial<WatchOptions> = {},
) {
  let now = 0;
  const timers = new Set<{ readonly at: number; readonly ring: () => void }>();
  const begun: number[] = [];
  const ended: number[] = [];
  const changes: string[] = [];
  let cancelled = 0;
  const after = (ms: number, ring: () => void) => {
    const timer = { at: now + ms, ring };
    timers.add(timer);
    return () => void timers.delete(timer);
  };
  const watch = watchHealth({
    check: { type: "tcp", intervalMs: 1000, timeoutMs: 100, rise: 2, fall: 3 },
    probe() {
      const { ms, result } = probes[begun.length] ?? { ms: 1, result: passed };
      begun.push(now);
      let settle!: (result: ProbeResult) => void;
      const done = new Promise<ProbeResult>((resolve) => {
        settle = resolve;
      });
      after(ms, () => {
        ended.push(now);
        settle(result);
      });
      return { result: done, cancel: () => void cancelled++ };
    },
    changed: (health) => changes.push(`${now} ${health.state}`),
    now: () => now,
    after,
    random: () => 0,
    ...options,
  });
  /** Lets time pass until so many probes have ended. */
  async function until(count: number): Promise<void> {
    while (ended.length < count) {
      const next = [...timers].toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined) return;
      timers.delete(next);
      now = next.at;
      next.ring();
      for (let i = 0; i < 5; i++) await Promise.resolve();
    }
  }
  return { watch, until, begun, ended, changes, timers, cancelled: () => cancelled };
}

test("checks begin at their interval, never while one is under way, and however long they take", async (t) => {
  const anyProbe = fc.record({ ms: fc.nat({ max: 3000 }), result: fc.constantFrom(passed, failed) });
  await fc.assert(
    fc.asyncProperty(fc.array(anyProbe, { minLength: 3, maxLength: 12 }), async (probes) => {
      const { watch, until, begun, ended } = watched(probes, { random: () => 0.5 });
      await until(probes.length);
      watch.stop();
      t.is(begun[0], 100, "a part of 200 ms");
      for (let at = 1; at < probes.length; at++) {
        const pause = at === 1 ? 500 : 1000;
        t.is(begun[at], Math.max(begun[at - 1]! + pause, ended[at - 1]!));
      }
    }),
  );
});

test("each change is told once, at the end of the check that makes it", async (t) => {
  const results = [
    passed,
    failed,
    failed,
    passed,
    failed,
    failed,
    failed,
    failed,
    passed,
    failed,
    passed,
    passed,
    passed,
  ];
  const { watch, until, changes } = watched(results.map((result) => ({ ms: 10, result })));
  t.is(watch.health.state, "unchecked");
  await until(results.length);
  t.deepEqual(
    changes,
    ["10 up", "5020 down", "10020 up"].map((text) => text),
  );
  watch.stop();
});

test("stopped before its first check it makes none, and stopped during one it gives that up and heeds it no more", async (t) => {
  const early = watched([]);
  early.watch.stop();
  t.is(early.timers.size, 0);

  const { watch, until, begun, changes, timers, cancelled } = watched([
    { ms: 1, result: passed },
    { ms: 50, result: failed },
  ]);
  await until(1);
  const [second] = timers;
  timers.delete(second!);
  second!.ring();
  t.is(begun.length, 2);
  watch.stop();
  t.is(cancelled(), 1);
  await until(2);
  t.is(timers.size, 0);
  t.deepEqual(changes.length, 1);
});

test("an address that is up is left alone while its target is full, and one that is down is not", async (t) => {
  let isBusy = true;
  const { watch, until, begun, changes } = watched(
    [passed, failed, failed, failed, failed].map((result) => ({ ms: 1, result })),
    { isBusy: () => isBusy },
  );
  await until(1);
  t.deepEqual([watch.health.state, begun.length], ["up", 1], "what is not known is looked at");
  isBusy = false;
  await until(4);
  t.is(watch.health.state, "down");
  isBusy = true;
  await until(5);
  t.is(begun.length, 5);
  t.is(changes.length, 2);
  watch.stop();
});
