import test from "ava";
import fc from "fast-check";
import { createSlots } from "../../src/base/count-board.js";
import { clearLoads, createLoadBoard, createLoads, readBegun, readLive } from "../../src/public/loads.js";
import { createRelief } from "../../src/public/relief.js";

const anyCount = fc.record({
  worker: fc.nat({ max: 2 }),
  what: fc.constantFrom("countSpliced" as const, "countUnanswered" as const),
  session: fc.constantFrom("a", "b", "without a slot"),
  by: fc.constantFrom(1 as const, -1 as const),
});

test("a session's load is what all workers have counted, or one alone where the session has no slot", (t) => {
  fc.assert(
    fc.property(fc.array(anyCount, { maxLength: 60 }), (counts) => {
      const board = createLoadBoard(3);
      const all = [0, 1, 2].map((worker) => createLoads(board, worker));
      for (const loads of all) {
        loads.attached("a", 0);
        loads.attached("b", 4095);
        loads.attached("without a slot", undefined);
      }
      for (const { worker, what, session, by } of counts) all[worker]![what](session, by);
      const sum = (wanted: (count: (typeof counts)[number]) => boolean) =>
        counts.filter(wanted).reduce((total, { by }) => total + by, 0);
      for (const session of ["a", "b", "without a slot"]) {
        for (const [worker, loads] of all.entries()) {
          const counts = (what: string) =>
            sum(
              (one) =>
                one.session === session && one.what === what && (session !== "without a slot" || one.worker === worker),
            );
          t.like(loads.of(session), { spliced: counts("countSpliced"), unanswered: counts("countUnanswered") });
        }
      }
    }),
  );
});

test("a slot that is given to another session begins at nothing, whatever the last one still has", (t) => {
  const loads = createLoads(createLoadBoard(1), 0);
  loads.attached("gone", 7);
  loads.countSpliced("gone", 1);
  loads.countUnanswered("gone", 1);
  loads.sessionGone("gone");
  loads.attached("next", 7);
  t.deepEqual(loads.of("next"), { spliced: 0, unanswered: 0, pooled: 0, queued: 0 });
  // Its connections live on, and end at last.
  loads.countSpliced("gone", -1);
  t.deepEqual(loads.of("next"), { spliced: 0, unanswered: 0, pooled: 0, queued: 0 });
  t.deepEqual(loads.of("gone"), { spliced: 0, unanswered: 0, pooled: 0, queued: 0 });
});

test("a worker that is gone counts for nothing, and the others as before", (t) => {
  const board = createLoadBoard(2);
  const [first, second] = [createLoads(board, 0), createLoads(board, 1)];
  for (const loads of [first, second]) {
    loads.attached("s", 0);
    loads.setLive(5);
    loads.countWaiting(1);
    loads.countSpliced("s", 1);
  }
  t.deepEqual([first.live, first.waiting, first.of("s").spliced], [10, 2, 2]);
  clearLoads(board, 0);
  t.deepEqual([second.live, second.waiting, second.of("s").spliced, readLive(board)], [5, 1, 1, [0, 5]]);
});

test("no two sessions have one slot at a time, and a session beyond the last slot has none", (t) => {
  const anyStep = fc.record({ session: fc.nat({ max: 8 }).map(String), take: fc.boolean() });
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 60 }), (steps) => {
      const slots = createSlots<string>(4);
      const has = new Map<string, number>();
      for (const { session, take } of steps) {
        if (!take) {
          slots.free(session);
          has.delete(session);
        } else if (!has.has(session)) {
          const slot = slots.take(session);
          t.is(slot === undefined, has.size === 4);
          if (slot === undefined) continue;
          t.true(slot < 4 && ![...has.values()].includes(slot));
          has.set(session, slot);
        }
      }
    }),
  );
});

const reliefOf = (live: readonly number[], isThere = (_: number) => true) =>
  createRelief({ loads: { liveOf: (worker) => live[worker]! }, worker: 0, workers: live.length, isThere });

test("a new client goes elsewhere only from a worker that has clearly more than the least loaded one", (t) => {
  t.is(reliefOf([64, 0])(), undefined);
  t.is(reliefOf([65, 0])(), 1);
  t.is(reliefOf([165, 100])(), 1);
  t.is(reliefOf([1065, 1000])(), undefined, "a quarter more is usual where there are many");
  t.is(reliefOf([1300, 1000, 990])(), 2);
  t.is(reliefOf([500, 500])(), undefined);
  t.is(reliefOf([500, 600])(), undefined);
  t.is(reliefOf([500, 0, 100], (worker) => worker !== 1)(), 2, "nobody is sent to a worker that is not there");
  t.is(reliefOf([500])(), undefined);
});

test("a burst is not all sent to one worker while its count still says that it has few", (t) => {
  const live = [200, 100];
  const relief = reliefOf(live);
  let sent = 0;
  while (relief() === 1) sent++;
  t.is(sent, 36, "as many as make them nearly equal");
  live[1] = 120;
  t.is(relief(), 1, "when it has counted them it can be seen anew");
});

test("a client on its way to another worker counts as unanswered, and the dial-back there is spoken for", (t) => {
  const board = createLoadBoard(3);
  const [a, b, c] = [0, 1, 2].map((worker) => createLoads(board, worker));
  for (const loads of [a, b, c]) loads!.attached("s", 5);
  b!.countPooled("s", 1);
  b!.countPooled("s", 1);
  t.is(a!.pooledElsewhere("s"), 1);
  t.is(b!.pooledElsewhere("s"), undefined, "not elsewhere");
  a!.passedTo(1, "s");
  c!.passedTo(1, "s");
  t.is(a!.pooledElsewhere("s"), undefined, "bug: all clients of a burst were sent after one dial-back");
  for (const loads of [a, b, c]) t.like(loads!.of("s"), { unanswered: 2, pooled: 2 });
  b!.arrived("s");
  b!.countPooled("s", -1);
  b!.countUnanswered("s", 1);
  t.like(a!.of("s"), { unanswered: 2, pooled: 1 });
  t.is(a!.pooledElsewhere("s"), undefined);
  b!.arrived("s");
  t.is(a!.pooledElsewhere("s"), 1, "the other was not needed after all");
  t.deepEqual(readBegun(board), [0, 2, 0]);
  for (const loads of [a, b, c]) loads!.sessionGone("s");
  a!.passedTo(1, "s");
  for (const loads of [a, b, c]) loads!.attached("next", 5);
  t.like(a!.of("next"), { unanswered: 0, pooled: 0 });
});
