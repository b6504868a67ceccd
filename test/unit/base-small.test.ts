import test from "ava";
import fc from "fast-check";
import { fullJitter } from "../../src/base/backoff.js";
import { createCounters, readCounters } from "../../src/base/counters.js";
import { atMost, deadlineIn, msLeft, sooner } from "../../src/base/deadline.js";
import { codeOf, messageOf, ProxyError } from "../../src/base/errors.js";
import { halfOpenSet } from "../../src/base/half-open.js";
import { inThreadPorts } from "../../src/base/port.js";
import { reason, reasonCodes } from "../../src/base/reasons.js";
import { tokenBuckets } from "../../src/base/token-bucket.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { handClock } from "./announcing.js";

assertNothingLeft(test);

test("a delay lies between the shortest and a ceiling that doubles up to the longest, and begins anew after success", (t) => {
  const bounds = fc
    .tuple(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 0, max: 10_000 }))
    .map(([minMs, more]) => ({ minMs, maxMs: minMs + more }));
  const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(bounds, fc.array(share, { minLength: 1, maxLength: 30 }), ({ minMs, maxMs }, shares) => {
      let at = 0;
      const backoff = fullJitter({ minMs, maxMs, random: () => shares[at]! });
      for (let round = 0; round < 2; round++) {
        for (at = 0; at < shares.length; at++) {
          const ceiling = Math.min(maxMs, minMs * 2 ** (at + 1));
          t.is(backoff.next(), minMs + shares[at]! * (ceiling - minMs));
        }
        backoff.reset();
      }
    }),
  );
});

test("delays are spread over their whole range", (t) => {
  const delays = Array.from({ length: 1000 }, () => {
    const backoff = fullJitter({ minMs: 100, maxMs: 200 });
    return backoff.next();
  });
  t.true(Math.min(...delays) < 120 && Math.max(...delays) > 180);
});

test("a bucket gives its burst at once and then its rate, and no more than the burst after any pause", (t) => {
  const steps = fc.array(fc.oneof(fc.constant("take" as const), fc.integer({ min: 0, max: 5000 })), { maxLength: 80 });
  fc.assert(
    fc.property(steps, (all) => {
      const now = handClock();
      const buckets = tokenBuckets({ perSecond: 2, burst: 5, maxKeys: 10, now });
      let level = 5;
      for (const step of all) {
        if (step === "take") {
          t.is(buckets.has("a"), level >= 1 - 1e-9);
          const taken = buckets.take("a");
          t.is(taken, level >= 1 - 1e-9);
          if (taken) level--;
        } else {
          // Quarters of a second are exact in binary, and so are half tokens.
          const ms = Math.round(step / 250) * 250;
          now.pass(ms);
          level = Math.min(5, level + ms / 500);
        }
      }
    }),
  );
});

test("buckets are kept for the keys touched last, and no more", (t) => {
  const buckets = tokenBuckets({ perSecond: 0, burst: 1, maxKeys: 3, now: handClock() });
  for (const key of ["a", "b", "c"]) t.true(buckets.take(key));
  t.false(buckets.take("a"));
  t.true(buckets.take("d"));
  t.is(buckets.size, 3);
  t.false(buckets.has("a"));
  t.true(buckets.has("b"), "the longest untouched was forgotten");
  for (let i = 0; i < 1000; i++) buckets.take(`key-${i}`);
  t.is(buckets.size, 3);
});

test("when there is no room the oldest gives way, and who has left takes none", (t) => {
  const given: string[] = [];
  const set = halfOpenSet(2);
  const add = (item: string) => set.enter(() => given.push(item));
  const leaveA = add("a");
  const leaveB = add("b");
  leaveA();
  leaveA();
  add("c");
  t.deepEqual(given, []);
  add("d");
  t.deepEqual(given, ["b"]);
  leaveB();
  t.is(set.size, 2);
  add("e");
  t.deepEqual(given, ["b", "c"]);
});

test("everybody is given up at once, the oldest first, and then nobody is left", (t) => {
  const given: string[] = [];
  const set = halfOpenSet(5);
  for (const who of ["a", "b", "c"]) set.enter(() => given.push(who));
  set.giveUpAll();
  t.deepEqual([given.join(""), set.size], ["abc", 0]);
});

test("who is given up may leave the set by itself meanwhile", (t) => {
  const set = halfOpenSet(1);
  const leave: () => void = set.enter(() => leave());
  set.enter(() => {});
  t.is(set.size, 1);
});

test("a deadline has time left until it is reached, and the sooner of two is the sooner", (t) => {
  const now = handClock();
  const one = deadlineIn(100, "hello_timeout", now);
  const two = deadlineIn(200, "offer_expired", now);
  t.is(msLeft(one, now), 100);
  t.is(sooner(one, two), one);
  t.is(sooner(two, one), one);
  now.pass(150);
  t.is(msLeft(one, now), 0);
  t.is(msLeft(two, now), 50);
});

test("waiting at most so long ends with the work or the time, and leaves no timer", async (t) => {
  await atMost(Promise.resolve(), 60_000);
  await t.throwsAsync(atMost(Promise.reject(new Error("it failed")), 60_000), { message: "it failed" });
  await atMost(new Promise(() => {}), 1);
  t.pass();
});

test("work that fails after its time is over does not end the process", async (t) => {
  let fail!: (error: Error) => void;
  const work = new Promise((_, reject) => {
    fail = reject;
  });
  await atMost(work, 1);
  fail(new Error("late"));
  await new Promise((resolve) => setImmediate(resolve));
  t.pass();
});

test("messages arrive in order, never inside post, also those that came before anybody received", async (t) => {
  const [left, right] = inThreadPorts<string, number>();
  const got: number[] = [];
  left.post(1);
  left.post(2);
  right.receive((message) => {
    got.push(message);
    if (message === 2) left.post(4);
  });
  left.post(3);
  t.deepEqual(got, []);
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(got, [1, 2, 3, 4]);
});

test("a closed port delivers nothing more, not even what was under way", async (t) => {
  const [left, right] = inThreadPorts<string, number>();
  const got: number[] = [];
  right.receive((message) => {
    got.push(message);
    right.close();
  });
  left.post(1);
  left.post(2);
  await new Promise((resolve) => setImmediate(resolve));
  left.post(3);
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(got, [1]);
});

test("with clone, what is posted is a copy, and what cannot be copied is refused", async (t) => {
  const [left, right] = inThreadPorts<unknown, unknown>({ clone: true });
  const message = { list: [1] };
  const arrived = new Promise((resolve) => right.receive(resolve));
  left.post(message);
  message.list.push(2);
  t.deepEqual(await arrived, { list: [1] });
  t.throws(() => left.post(() => {}), { name: "DataCloneError", any: true });
});

test("counters of several planes are added up, every reason in its own place", (t) => {
  const planes = [createCounters(), createCounters()];
  for (const [i, code] of reasonCodes.entries()) {
    for (let n = 0; n <= i; n++) planes[n % 2]!.refuse(code);
  }
  planes[0]!.add("opened", 3);
  planes[1]!.add("opened", 4);
  planes[1]!.add("closed", 5);
  planes[0]!.add("bytesUp", 2 ** 40);
  planes[1]!.add("bytesUp", 1);
  planes[0]!.add("bytesDown", 7);
  const totals = readCounters(planes.map(({ buffer }) => buffer));
  t.deepEqual(totals, {
    opened: 7,
    closed: 5,
    bytesUp: 2 ** 40 + 1,
    bytesDown: 7,
    refused: Object.fromEntries(reasonCodes.map((code, i) => [code, i + 1])),
  });
  t.deepEqual(readCounters([]), { opened: 0, closed: 0, bytesUp: 0, bytesDown: 0, refused: {} });
});

test("counters go on where the plane before them left off", (t) => {
  const before = createCounters();
  before.add("opened", 1);
  const after = createCounters(before.buffer);
  after.add("opened", 1);
  t.is(readCounters([before.buffer]).opened, 2);
});

test("every reason says what happened, and only what clients meet has an alert", (t) => {
  const alerts = new Set([10, 22, 40, 47, 49, 50, 80, 112]);
  t.is(new Set(reasonCodes).size, reasonCodes.length);
  t.is(new Set(reasonCodes.map((code) => reason(code).means)).size, reasonCodes.length, "no two mean the same");
  for (const code of reasonCodes) {
    const { alert, means, scope } = reason(code);
    t.regex(code, /^[a-z][a-z0-9_]+$/);
    t.regex(means, /^[^\n]*[^.\s]$/, code);
    if (alert === undefined) continue;
    t.true(alerts.has(alert), code);
    t.true(scope === "client" || scope === "internal", code);
  }
});

test("what is thrown and is not ours is a fault of this program", (t) => {
  t.is(codeOf(new ProxyError("peer_reset")), "peer_reset");
  t.is(new ProxyError("peer_reset").message, reason("peer_reset").means);
  for (const thrown of [new TypeError("x"), "x", undefined, null, { code: "peer_reset" }])
    t.is(codeOf(thrown), "internal");
  t.deepEqual([messageOf(new Error("x")), messageOf("y"), messageOf(undefined)], ["x", "y", "undefined"]);
});
