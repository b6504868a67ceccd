import test from "ava";
import { planFaults } from "../chaos/plan.js";
import { checkBytes, knownBytes } from "../harness/checked/bytes.js";
import { findHello, helloFor, sha256 } from "../harness/checked/operation.js";
import { drawSoak } from "../soak/chart.js";
import { growth, notBack, type Sample } from "../soak/samples.js";

// What judges the proxies in make chaos and make soak must find what is wrong.

test("the same seed plans the same faults, another one others; all are over in time, and nobody has two at once", (t) => {
  const options = { seed: 7, ms: 60_000, victims: 7, links: 6 };
  const faults = planFaults(options);
  t.deepEqual(planFaults(options), faults);
  t.notDeepEqual(planFaults({ ...options, seed: 8 }), faults);
  t.true(faults.length > 50);
  t.true(faults.every(({ at, forMs }) => at >= 0 && at + forMs <= 60_000));
  for (let victim = 0; victim < 7; victim++) {
    const own = faults.filter((fault) => "victim" in fault && fault.victim === victim);
    t.true(own.every(({ at }, place) => place === 0 || at > own[place - 1]!.at + own[place - 1]!.forMs));
  }
});

test("a byte that was changed, lost, doubled or another connection's is found, however the rest is cut", (t) => {
  const sent = Buffer.concat([knownBytes("a").next(60_000), knownBytes("b").next(0)]);
  for (const size of [1000, 7777, 60_000]) {
    const take = (bytes: Buffer) => {
      const check = checkBytes("a", sent.length);
      for (let at = 0; at < bytes.length; at += size) {
        const problem = check.take(bytes.subarray(at, at + size));
        if (problem !== undefined) return problem;
      }
      return check.digest().equals(sha256(sent));
    };
    t.true(take(sent));
    const changed = Buffer.from(sent);
    changed[41_000]! ^= 1;
    t.regex(String(take(changed)), /^wrong bytes/);
    t.regex(String(take(Buffer.concat([sent.subarray(0, 500), sent.subarray(501)]))), /^wrong bytes/);
    t.regex(String(take(Buffer.concat([sent, Buffer.of(0)]))), /60001 bytes came, 60000 were sent/);
    t.regex(String(take(knownBytes("b").next(60_000))), /^wrong bytes/);
  }
});

test("a hello says what its connection is to do, and one that was changed on the way is found", (t) => {
  const operation = { run: 4_000_000_000, serial: 5, kind: "talk", up: 128, down: 64 } as const;
  const hello = helloFor(operation, "a.example.com", 300);
  const bytes = Buffer.concat([hello, sha256(hello), Buffer.from("rest")]);
  t.like(findHello(bytes), { status: "ours", operation, hello, rest: Buffer.from("rest") });
  t.is(findHello(bytes.subarray(0, -5)).status, "more");
  bytes[200]! ^= 1;
  t.is(findHello(bytes).status, "damaged");
});

const sample: Sample = {
  descriptors: 50,
  rssMiB: 100,
  heapMiB: 20,
  handles: 7,
  timers: 1,
  live: 0,
  attachments: 1,
  announcements: 1,
  pooled: 2,
  opened: 0,
};

test("what does not come back to baseline is named", (t) => {
  t.deepEqual(notBack("p", sample, { ...sample, rssMiB: 150, opened: 9, descriptors: 60 }), []);
  const now = { ...sample, descriptors: 90, live: 1, pooled: 1, timers: 9 };
  t.deepEqual(
    notBack("p", sample, now).map((line) => line.split(" ")[1]),
    ["descriptors", "timers", "live", "pooled"],
  );
});

test("memory that goes on growing is a leak, memory that has grown is a warm-up", (t) => {
  const grown = (rss: (at: number) => number) =>
    Array.from({ length: 30 }, (_, at) => ({ ...sample, rssMiB: rss(at) }));
  t.deepEqual(
    growth(
      "p",
      grown((at) => (at < 10 ? 100 : 180)),
    ),
    [],
  );
  t.is(
    growth(
      "p",
      grown((at) => 100 + 10 * at),
    ).length,
    1,
  );
  t.deepEqual(growth("p", []), []);
});

test("the soak's chart names what it is of, and draws a line for each proxy in each panel", (t) => {
  const series = [0, 10, 20].map((at) => ({ at, public: sample, private: { ...sample, rssMiB: 50 + at } }));
  const svg = drawSoak(series, "<soak> & more");
  t.true(svg.includes("&lt;soak&gt; &amp; more"));
  t.is(svg.match(/<polyline/g)?.length, 12);
  t.false(/NaN|undefined/.test(svg));
  t.false(/NaN|undefined/.test(drawSoak([], "nothing")));
});
