import test from "ava";
import fc from "fast-check";
import { leastConnections, maxUnansweredOffers } from "../../src/public/balance.js";
import { createOffences } from "../../src/public/offences.js";
import { announcer, handClock } from "./announcing.js";

const anyLoad = fc.record({
  spliced: fc.integer({ min: 0, max: 3 }),
  unanswered: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constant(maxUnansweredOffers)),
  tried: fc.boolean(),
});

test("the one chosen has not been tried, has room for an offer, and nobody such has fewer connections", (t) => {
  fc.assert(
    fc.property(fc.array(anyLoad, { maxLength: 8 }), (loads) => {
      const announcers = loads.map((_, i) => announcer(String(i)));
      const tried = new Set(loads.flatMap((load, i) => (load.tried ? [String(i)] : [])));
      const chosen = leastConnections(announcers, tried, (session) => loads[Number(session)]!);
      const free = loads.filter((load) => !load.tried && load.unanswered < maxUnansweredOffers);
      if (chosen === undefined) {
        t.is(free.length, 0);
        return;
      }
      const load = loads[Number(chosen.session.session)]!;
      t.true(free.includes(load));
      t.is(load.spliced + load.unanswered, Math.min(...free.map((one) => one.spliced + one.unanswered)));
    }),
  );
});

test("equal ones are all chosen in the course of time", (t) => {
  const announcers = ["a", "b", "c"].map((session) => announcer(session));
  const chosen = new Set<string>();
  for (let i = 0; i < 1000; i++) {
    chosen.add(
      leastConnections(announcers, new Set(), () => ({ spliced: 1, unanswered: 0 }))?.session.session ?? "nobody",
    );
  }
  t.deepEqual([...chosen].toSorted(), ["a", "b", "c"]);
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
