import test from "ava";
import { drawChart } from "../../bench/chart.js";
import { rowsBuilder } from "../../bench/figures.js";
import { helloOf, kindOf, kinds, serverName } from "../../bench/load/hello.js";
import { createHelloReader } from "../../src/tls-sni/index.js";
import { goodFixtures } from "./tls-sni-fixtures.js";

/** Tags that are opened and closed in order; no two roots; nothing that needs escaping left bare. */
function wellFormed(svg: string): boolean {
  const open: string[] = [];
  for (const [, closing, name, selfClosing] of svg.matchAll(/<(\/?)([a-z]+)(?:\s+[\w:-]+="[^"<&]*")*\s*(\/?)>/g)) {
    if (closing === "/") {
      if (open.pop() !== name) return false;
    } else if (selfClosing !== "/") open.push(name!);
  }
  const texts = svg.replace(/<style>[^<]*<\/style>/, "").replace(/<[^<>]*>/g, "");
  return open.length === 0 && !/[<>]|&(?!amp;|lt;|gt;)/.test(texts);
}

test("the chart is well-formed, names everyone, and draws medians to one scale", (t) => {
  const builder = rowsBuilder();
  builder.add("50 at once", "ours <node> & co", { hop1: 100 }, "machine");
  builder.add("50 at once", "ours <node> & co", { hop1: 50 }, "machine");
  builder.add("50 at once", "other", { hop1: 25 }, "machine");
  builder.add("50 at once", "direct", { rate: 1 }, "machine");
  const rows = builder.rows(["direct", "ours <node> & co", "other"]);
  const svg = drawChart([{ letter: "b", title: "new connections", figures: [], rows }], "make bench < now");
  t.true(wellFormed(svg), svg);
  t.true(svg.includes("ours &lt;node&gt; &amp; co") && svg.includes("make bench &lt; now"));
  t.false(svg.includes("direct"));
  const widths = [...svg.matchAll(/<rect[^>]* width="([\d.]+)"/g)].map(([, width]) => Number(width));
  t.is(widths.length, 2);
  t.true(Math.abs(widths[0]! / widths[1]! - 3) < 0.01);
  t.true(svg.includes("prefers-color-scheme:dark"));
});

test("the check of well-formedness finds what is not", (t) => {
  t.false(wellFormed("<svg><text>a</svg>"));
  t.false(wellFormed("<svg><text>a & b</text></svg>"));
});

test("a chart of nothing, and of figures that are all zero, is well-formed too", (t) => {
  t.true(wellFormed(drawChart([], "nothing")));
  const builder = rowsBuilder();
  builder.add("v", "other", { p50: 0 }, "waiting");
  const result = { letter: "e", title: "first byte", figures: [], rows: builder.rows(["other"]) };
  const svg = drawChart([result], "zero");
  t.true(wellFormed(svg));
  t.false(svg.includes("NaN"));
});

test("the hello of the load generators is read as curl's, whatever kind it carries", (t) => {
  for (const kind of kinds) {
    const hello = helloOf(kind);
    t.is(kindOf(hello), kind);
    const reader = createHelloReader({ maxHelloBytes: 65_536 });
    const read = reader.push(hello);
    t.is(read.status === "hello" ? read.hello.serverName : undefined, serverName);
  }
});

test("no real client's hello is taken for one of the load generators'", (t) => {
  for (const { name, bytes } of goodFixtures()) t.is(kindOf(bytes), undefined, name);
});
