import test from "ava";
import fc from "fast-check";
import { rowsBuilder } from "../../bench/figures.js";
import { limitOf } from "../../bench/measure.js";
import { parseOptions } from "../../bench/options.js";
import { rotated } from "../../bench/rounds.js";
import { median, percentile, spreadOf } from "../../bench/statistics.js";
import { formatCase, formatNumber, formatSpread } from "../../bench/table.js";

const someNumbers = fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 50 });

test("half of the values are at most the median, and half at least", (t) => {
  fc.assert(
    fc.property(someNumbers, (values) => {
      const middle = median(values);
      const below = values.filter((value) => value <= middle).length;
      const above = values.filter((value) => value >= middle).length;
      return below * 2 >= values.length && above * 2 >= values.length;
    }),
  );
  t.is(median([3, 1, 2]), 2);
  t.is(median([4, 1, 2, 3]), 2.5);
  t.throws(() => median([]));
});

test("the given share of the values does not exceed a percentile, which is one of them", (t) => {
  fc.assert(
    fc.property(someNumbers, fc.double({ min: 0.01, max: 1, noNaN: true }), (values, share) => {
      const at = percentile(values, share);
      const within = values.filter((value) => value <= at).length;
      const less = values.filter((value) => value < at).length;
      return values.some((value) => value === at) && within >= share * values.length && less < share * values.length;
    }),
  );
  t.is(percentile([10, 20, 30, 40], 0.5), 20);
  t.true(Number.isNaN(percentile([], 0.5)));
});

test("a spread goes from the least to the most", (t) => {
  t.like(spreadOf([5, 1, 3]), { median: 3, min: 1, max: 5 });
  // Student's t: 4.303 with two degrees of freedom, 12.706 with one; beyond the table it stays as it was.
  t.is(spreadOf([5, 1, 3]).plusMinus.toFixed(3), ((4.303 * 2) / Math.sqrt(3)).toFixed(3));
  t.is(spreadOf([1, 3]).plusMinus.toFixed(3), "12.706");
  t.true(Number.isNaN(spreadOf([7]).plusMinus));
  t.true(spreadOf(Array.from({ length: 40 }, (_, index) => index % 2)).plusMinus < 0.2);
});

test("every contestant begins a round before any begins a second one", (t) => {
  const items = ["a", "b", "c"];
  t.deepEqual(new Set([0, 1, 2].map((round) => rotated(items, round)[0])), new Set(items));
  t.deepEqual(rotated(items, 4), ["b", "c", "a"]);
  t.deepEqual(rotated([], 1), []);
});

test("rows gather the rounds, keep the contestants' order, and leave out what does not apply", (t) => {
  const builder = rowsBuilder();
  builder.add("v", "second", { rate: 1 }, "machine");
  builder.add("v", "first", { rate: 4, hop1: Number.NaN }, "proxy");
  builder.add("v", "second", { rate: 3 }, "machine");
  builder.problem("v", "third", "does not start");
  const rows = builder.rows(["first", "second", "third"]);
  t.deepEqual(
    rows.map(({ contestant }) => contestant),
    ["first", "second", "third"],
  );
  t.is(rows[0]!.figures.hop1, undefined);
  t.like(rows[1]!.figures.rate, { median: 2, min: 1, max: 3 });
  t.deepEqual(rows[1]!.limits, ["machine"]);
  t.deepEqual(rows[2]!.problems, ["does not start"]);
});

test("a table names every contestant, also one that failed, and every line has as many cells", (t) => {
  const builder = rowsBuilder();
  builder.add("v", "works", { rate: 1234 }, "waiting");
  builder.problem("v", "fails", "no | such\nprogram");
  const figures = [
    { key: "rate", title: "per second" },
    { key: "never", title: "never there" },
  ];
  const text = formatCase({ letter: "x", title: "some", figures, rows: builder.rows(["works", "fails"]) });
  const lines = text.split("\n").filter((line) => line.startsWith("|"));
  t.is(lines.length, 4);
  t.is(new Set(lines.map((line) => line.split("|").length)).size, 1);
  t.true(text.includes("FAILED: no / such"));
  t.false(text.includes("never there"));
});

test("a figure is shown with its spread, and with three digits", (t) => {
  t.is(formatSpread(spreadOf([1, 2, 3])), "2.00 ±2.48");
  t.is(formatSpread(spreadOf([12.345])), "12.3");
  t.is(formatSpread(undefined), "-");
  t.is(formatNumber(99.97), "100");
  t.is(formatNumber(9.999), "10.0");
});

test("what was used up is a process with nearly a core, else the machine, else nothing", (t) => {
  const cpu = { hops: [0.2, 0.3], load: 0.4, backend: 0.1, machine: 1.2 };
  const titles = ["public", "private"];
  t.is(limitOf(cpu, titles, 1, 2), "waiting");
  t.is(limitOf({ ...cpu, machine: 1.95 }, titles, 1, 2), "machine");
  t.is(limitOf({ ...cpu, hops: [0.2, 0.95], machine: 1.95 }, titles, 1, 2), "private");
  t.is(limitOf({ ...cpu, load: 1 }, titles, 1, 2), "load generator");
  t.is(limitOf({ ...cpu, hops: [], load: 1.9 }, [], 2, 2), "load generator");
});

test("options come from the environment and from the command line, which wins; empty ones are none", (t) => {
  t.like(parseOptions([], { ONLY: "", QUICK: "" }), {
    status: "ok",
    options: { rounds: 3, quick: false, profile: false },
  });
  t.like(parseOptions(["ONLY=b,c", "ROUNDS=5"], { ROUNDS: "2", QUICK: "1" }), {
    status: "ok",
    options: { only: ["b", "c"], rounds: 5, quick: true },
  });
  t.like(parseOptions(["QUICK=0"], {}), { options: { quick: false } });
  t.like(parseOptions(["QUICK"], {}), { options: { quick: true } });
  for (const wrong of ["ONLY=z", "ROUNDS=0", "ROUNDS=many", "ROUND=1"]) {
    t.is(parseOptions([wrong], {}).status, "invalid", wrong);
  }
});
