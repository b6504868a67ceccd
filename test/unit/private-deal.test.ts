import test from "ava";
import fc from "fast-check";
import { createDeal } from "../../src/private/deal.js";

const anyLive = fc.array(fc.option(fc.nat({ max: 20 }), { nil: undefined, freq: 4 }), { minLength: 1, maxLength: 6 });

test("each offer goes to one worker that is there, and none of them gets more than makes it equal to the others", (t) => {
  fc.assert(
    fc.property(fc.nat({ max: 40 }), anyLive, (count, live) => {
      const items = Array.from({ length: count }, (_, i) => i);
      const { dealt, left } = createDeal<number>()(items, live);
      const given = [...dealt.values()].flat();
      t.deepEqual(
        [...given, ...left].toSorted((a, b) => a - b),
        items,
      );
      if (live.every((one) => one === undefined)) {
        t.is(given.length, 0);
        return;
      }
      t.is(left.length, 0);
      const after = live.map((one, worker) => (one === undefined ? undefined : one + (dealt.get(worker)?.length ?? 0)));
      const fewest = Math.min(...after.filter((one) => one !== undefined));
      for (const worker of dealt.keys()) t.true(after[worker]! <= fewest + 1);
    }),
  );
});

test("single offers go round among workers that have equally many", (t) => {
  const deal = createDeal<string>();
  const workers = Array.from({ length: 6 }, () => [...deal(["offer"], [3, 3, 3]).dealt.keys()][0]);
  t.deepEqual(workers, [0, 1, 2, 0, 1, 2]);
});

test("what has an owner goes to it and to nobody else, in its order, and counts as its load", (t) => {
  const deal = createDeal<string>((item) => (item.startsWith("own") ? 2 : undefined));
  const items = ["own 1", "a", "own 2", "b", "own 3"];
  const { dealt, left } = deal(items, [2, 2, 0]);
  t.deepEqual(dealt.get(2), ["own 1", "own 2", "own 3"].toSpliced(1, 0, "a"));
  t.deepEqual([dealt.get(0), dealt.get(1)].flat().filter(Boolean), ["b"]);
  t.deepEqual(left, []);
  const without = deal(items, [0, 0, undefined]);
  t.deepEqual(without.left, ["own 1", "own 2", "own 3"]);
  t.deepEqual([...without.dealt.values()].flat(), ["a", "b"]);
});
