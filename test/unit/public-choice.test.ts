import test from "ava";
import fc from "fast-check";
import { balanceMethods } from "../../src/balance/method.js";
import { maxUnansweredOffers, type Question, whomToAsk } from "../../src/public/balance.js";
import type { Announcer } from "../../src/public/names.js";
import { createOffences } from "../../src/public/offences.js";
import type { Avoidance } from "../../src/public/outliers.js";
import { announcer, handClock } from "./announcing.js";

const idle = { spliced: 0, unanswered: 0, queued: 0 };

function asked(announcers: readonly Announcer[], more: Partial<Question> = {}): string {
  const next = whomToAsk({
    announcers,
    tried: new Set(),
    loadOf: () => idle,
    maxPerPrivateProxy: undefined,
    outliers: { avoidance: () => 0 },
    method: "least-connections",
    source: "192.0.2.1",
    ...more,
  });
  return next.status === "announcer" ? next.announcer.session.session : next.status;
}

const anyOne = fc.record({
  spliced: fc.integer({ min: 0, max: 3 }),
  unanswered: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constant(maxUnansweredOffers)),
  queued: fc.constantFrom(0, 1),
  tried: fc.boolean(),
  priority: fc.nat(2),
  avoidance: fc.constantFrom<Avoidance>(0, 1, 2),
});

test("asked is somebody with room who was not tried, first whom nothing is held against, then of the lowest priority", (t) => {
  fc.assert(
    fc.property(
      fc.array(anyOne, { maxLength: 8 }),
      fc.constantFrom(...balanceMethods),
      fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
      (all, method, maxPerPrivateProxy) => {
        const at = (session: string) => all[Number(session)]!;
        const chosen = asked(
          all.map(({ priority }, i) => announcer(String(i), { priority })),
          {
            method,
            maxPerPrivateProxy,
            tried: new Set(all.flatMap(({ tried }, i) => (tried ? [String(i)] : []))),
            loadOf: at,
            outliers: { avoidance: ({ session }) => at(session.session).avoidance },
          },
        );
        const eligible = all.filter(
          ({ tried, spliced, unanswered, queued }) =>
            !tried &&
            unanswered - queued < maxUnansweredOffers &&
            spliced + unanswered < (maxPerPrivateProxy ?? 10_000),
        );
        const everybodyIsFull = all.length > 0 && !all.some(({ tried }) => tried);
        if (eligible.length === 0) return t.is(chosen, everybodyIsFull ? "full" : "nobody");
        const one = at(chosen);
        t.true(eligible.includes(one));
        const order = ({ avoidance, priority }: typeof one) => avoidance * 10 + priority;
        t.is(order(one), Math.min(...eligible.map(order)));
        const equals = eligible.filter((other) => order(other) === order(one));
        if (method !== "least-connections") return;
        return t.is(one.spliced + one.unanswered, Math.min(...equals.map((each) => each.spliced + each.unanswered)));
      },
    ),
    { numRuns: 500 },
  );
});

test("whose clients queue by the thousand is asked for others: one busy target of a private proxy shut out all its names", (t) => {
  const loadOf = () => ({ spliced: 0, unanswered: 5000, queued: 4000 });
  t.is(asked([announcer("a")], { loadOf }), "a");
  t.is(asked([announcer("a")], { loadOf, maxPerPrivateProxy: 5000 }), "full");
  t.is(asked([announcer("a")], { loadOf: () => ({ ...loadOf(), queued: 3976 }) }), "full");
});

test("equal ones are all chosen in the course of time, whatever the method", (t) => {
  const announcers = ["a", "b", "c"].map((session) => announcer(session));
  for (const method of balanceMethods) {
    const chosen = new Set<string>();
    for (let i = 0; i < 200; i++) chosen.add(asked(announcers, { method, source: `192.0.2.${i}` }));
    t.deepEqual([...chosen].toSorted(), ["a", "b", "c"]);
  }
});

test("a passive private proxy is asked when the active ones are avoided, full or tried, and only then", (t) => {
  const announcers = [announcer("passive", { priority: 1, weight: 100 }), announcer("active")];
  const busy = { spliced: 50, unanswered: 0, queued: 0 };
  t.is(asked(announcers, { loadOf: (session) => (session === "active" ? busy : idle) }), "active");
  t.is(asked(announcers, { outliers: { avoidance: ({ priority }) => (priority === 0 ? 1 : 0) } }), "passive");
  t.is(asked(announcers, { tried: new Set(["active"]) }), "passive");
  const full = { loadOf: (session: string) => (session === "active" ? busy : idle), maxPerPrivateProxy: 50 };
  t.is(asked(announcers, full), "passive");
});

test("whom another worker has chosen is asked where it is among the best here too, and takes no turn", (t) => {
  const announcers = [announcer("a"), announcer("b"), announcer("later", { priority: 1 })];
  for (let i = 0; i < 10; i++) t.is(asked(announcers, { chosen: "b", method: "round-robin" }), "b");
  t.not(asked(announcers, { chosen: "later" }), "later");
  t.is(asked(announcers, { chosen: "b", tried: new Set(["b"]) }), "a");
  t.is(
    asked(announcers, { chosen: "b", outliers: { avoidance: ({ session }) => (session.name === "b" ? 1 : 0) } }),
    "a",
  );
  t.not(asked(announcers, { chosen: "gone" }), "gone");
});

test("an address is tolerated until it has sent its share of bad prefaces, and again after a while", (t) => {
  const now = handClock();
  const offences = createOffences({ now });
  let tolerated = 0;
  for (; offences.tolerates("192.0.2.9") && tolerated < 1000; tolerated++) offences.note("192.0.2.9");
  t.is(tolerated, 20);
  t.true(offences.tolerates("192.0.2.10"));
  now.pass(499);
  t.false(offences.tolerates("192.0.2.9"));
  now.pass(1);
  t.true(offences.tolerates("192.0.2.9"));
});

test("workers share the budget of an address among them", (t) => {
  const shares = [1, 2, 3, 40].map((workers) => {
    const offences = createOffences({ now: handClock(), workers });
    let tolerated = 0;
    for (; offences.tolerates("192.0.2.9"); tolerated++) offences.note("192.0.2.9");
    return tolerated;
  });
  t.deepEqual(shares, [20, 10, 7, 1]);
});

test("an address with an attached private proxy is tolerated whatever comes from it, until the last has left", (t) => {
  const offences = createOffences({ now: handClock() });
  offences.attached("one", "192.0.2.9");
  offences.attached("two", "192.0.2.9");
  for (let i = 0; i < 100; i++) offences.note("192.0.2.9");
  t.true(offences.tolerates("192.0.2.9"));
  offences.detached("one");
  offences.detached("one");
  t.true(offences.tolerates("192.0.2.9"));
  offences.detached("two");
  t.false(offences.tolerates("192.0.2.9"));
});
