import test from "ava";
import fc from "fast-check";
import { createPool } from "../../src/public/pool.js";
import { createTokens } from "../../src/public/tokens.js";
import { VerdictDeadline } from "../../src/public/verdict-deadline.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { handClock } from "./announcing.js";
import { type FakeEndpoint, fakeEndpoint } from "./fake-endpoint.js";

assertNothingLeft(test);

interface Limits {
  readonly maxPooledPerPrivateProxy: number;
  readonly pooledWaitMs: number;
  readonly maxConnections: number;
}

/** A pool of one worker, and a private proxy that keeps the tokens. */
function poolByHand(changes: Partial<Limits> = {}) {
  const now = handClock();
  const tokens = createTokens({ worker: 0, now });
  const granted: Uint8Array[] = [];
  let grants = 0;
  let counted = 0;
  let config: Limits = { maxPooledPerPrivateProxy: 100, pooledWaitMs: 0, maxConnections: 1000, ...changes };
  const pool = createPool({
    tokens,
    now,
    alarm: now.alarm,
    worker: 0,
    workers: 1,
    config: () => config,
    grant: (_session, fresh) => {
      grants++;
      granted.push(...fresh);
    },
    count: (_session, by) => {
      counted += by;
    },
    counted: () => counted,
  });
  return {
    pool,
    tokens,
    now,
    granted,
    get grants() {
      return grants;
    },
    get counted() {
      return counted;
    },
    configure(next: Partial<Limits>) {
      config = { ...config, ...next };
      pool.configure();
    },
    /** Parks one with the next token. */
    park(): FakeEndpoint {
      const endpoint = fakeEndpoint();
      const claim = tokens.present("park", granted.shift()!, endpoint);
      if (claim.status !== "claimed") throw new Error(claim.reason);
      return endpoint;
    },
  };
}

test("tokens for twice as many as may be parked are granted, and topped up by the dozen", (t) => {
  const by = poolByHand();
  by.pool.ask("s", { wanted: 8, maxAgeMs: 0, renew: false });
  t.is(by.granted.length, 16);
  for (let n = 0; n < 8; n++) by.park();
  t.is(by.grants, 1);
  for (let n = 0; n < 80; n++) {
    t.truthy(by.pool.take("s"));
    by.park();
  }
  t.is(by.pool.size, 8);
  t.is(by.grants, 1 + 80 / 4, "one message for every four clients");
  by.pool.close();
});

test("the one that was parked last is given first", (t) => {
  const by = poolByHand();
  by.pool.ask("s", { wanted: 2, maxAgeMs: 0, renew: false });
  const [older, newer] = [by.park(), by.park()];
  t.is(by.pool.take("s")?.dialBack, newer);
  t.is(by.pool.take("s")?.dialBack, older);
  t.is(by.pool.take("s"), undefined);
  t.is(by.pool.take("nobody"), undefined);
  by.pool.close();
});

test("what is wanted less, or allowed less, is closed: the oldest first", (t) => {
  const by = poolByHand();
  by.pool.ask("s", { wanted: 4, maxAgeMs: 0, renew: false });
  const parked = [by.park(), by.park(), by.park(), by.park()];
  by.pool.ask("s", { wanted: 3, maxAgeMs: 0, renew: false });
  t.deepEqual(
    parked.map(({ done }) => done.length > 0),
    [true, false, false, false],
  );
  by.configure({ maxPooledPerPrivateProxy: 1 });
  t.deepEqual(
    parked.map(({ done }) => done.length > 0),
    [true, true, true, false],
  );
  by.configure({ maxPooledPerPrivateProxy: 100 });
  t.is(by.pool.size, 1);
  by.pool.close();
  t.is(by.counted, 0);
});

test("all sessions together park no more than limits.connections", (t) => {
  const by = poolByHand({ maxConnections: 2 });
  by.pool.ask("s", { wanted: 5, maxAgeMs: 0, renew: false });
  const parked = [by.park(), by.park(), by.park()];
  t.deepEqual(
    parked.map(({ done }) => done.length > 0),
    [false, false, true],
  );
  by.pool.close();
});

test("a dial-back that grew old, and a token that nobody used for ten minutes, are given up and replaced", (t) => {
  const by = poolByHand();
  by.pool.ask("s", { wanted: 1, maxAgeMs: 5000, renew: false });
  const old = by.park();
  by.now.pass(4000);
  t.deepEqual(old.done, []);
  by.now.pass(2001);
  t.deepEqual(old.done, ["destroy"]);
  t.is(by.pool.size, 0);
  const unused = by.granted.splice(0);
  by.now.pass(601_000);
  for (const token of unused) {
    t.deepEqual(by.tokens.present("park", token, fakeEndpoint()), { status: "refused", reason: "token_late" });
  }
  t.is(by.granted.length, 2);
  by.pool.close();
  t.is(by.now.alarms, 0);
});

test("what is parked already does not outlive a lower age: after a reload it stayed for as long as was said before", (t) => {
  const by = poolByHand();
  by.pool.ask("s", { wanted: 1, maxAgeMs: 0, renew: false });
  const old = by.park();
  by.pool.ask("s", { wanted: 1, maxAgeMs: 5000, renew: false });
  by.now.pass(4000);
  by.pool.ask("s", { wanted: 1, maxAgeMs: 60_000, renew: false });
  t.deepEqual(old.done, []);
  by.now.pass(2001);
  t.deepEqual(old.done, ["destroy"]);
  by.pool.close();
});

test("a session that is gone leaves nothing parked, no token alive and no count", (t) => {
  const by = poolByHand();
  by.pool.ask("s", { wanted: 3, maxAgeMs: 0, renew: false });
  const parked = [by.park(), by.park()];
  by.pool.sessionGone("s");
  t.true(parked.every(({ done }) => done.includes("destroy")));
  for (const token of by.granted) t.like(by.tokens.present("park", token, fakeEndpoint()), { status: "refused" });
  t.deepEqual([by.pool.size, by.counted], [0, 0]);
  by.pool.close();
});

test("a client that was given one may be told to queue, until its verdict", (t) => {
  const by = poolByHand();
  by.pool.ask("s", { wanted: 1, maxAgeMs: 0, renew: false });
  const [token] = by.granted;
  by.park();
  const given = by.pool.take("s")!;
  const deadline = new VerdictDeadline(100, { at: by.now() + 10_000, code: "nobody_answered" }, by.now);
  given.give(deadline);
  by.tokens.find("s", token!)?.queued(5000);
  t.is(deadline.at, by.now() + 5000);
  given.over();
  t.is(by.tokens.find("s", token!), undefined);
  by.pool.close();
});

test("with pooledWaitMs those who find none are served in the order in which they came, or not at all", async (t) => {
  const by = poolByHand({ pooledWaitMs: 1000 });
  by.pool.ask("s", { wanted: 2, maxAgeMs: 0, renew: false });
  const overall = { at: by.now() + 60_000, code: "nobody_answered" } as const;
  const turn = () => {
    let leave = () => {};
    const connection = { whenGone: (abandon: () => void) => (leave = abandon) };
    const waited = by.pool.next({ connection, announcer: { session: { session: "s" } } } as never, overall);
    return { waited, leave: () => leave() };
  };
  const [first, left, second, late] = [turn(), turn(), turn(), turn()];
  left.leave();
  t.is(await left.waited, undefined);
  const [a, b] = [by.park(), by.park()];
  t.is((await first.waited)?.dialBack, a);
  t.is((await second.waited)?.dialBack, b);
  by.now.pass(1000);
  t.is(await late.waited, undefined);
  by.park();
  t.is(by.pool.size, 1, "nobody waits any more");
  by.configure({ pooledWaitMs: 0 });
  t.is(turn().waited, undefined);
  by.pool.close();
});

test("who waits for one of a session that is gone waits no longer: it was asked elsewhere only after pooledWaitMs", async (t) => {
  const by = poolByHand({ pooledWaitMs: 1000 });
  by.pool.ask("s", { wanted: 1, maxAgeMs: 0, renew: false });
  const overall = { at: by.now() + 60_000, code: "nobody_answered" } as const;
  const turn = { connection: { whenGone() {} }, announcer: { session: { session: "s" } } };
  const waited = by.pool.next(turn as never, overall);
  by.pool.sessionGone("s");
  t.is(await waited, undefined);
  by.pool.close();
  t.is(by.now.alarms, 0);
});

test("whatever happens, what is parked, counted and granted stays within what is allowed", (t) => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.constant("park" as const) },
    { weight: 4, arbitrary: fc.constant("take" as const) },
    { weight: 2, arbitrary: fc.record({ ends: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ wanted: fc.nat(12) }) },
    { weight: 1, arbitrary: fc.record({ allowed: fc.nat(12) }) },
    { weight: 1, arbitrary: fc.record({ pass: fc.nat(400_000) }) },
    { weight: 1, arbitrary: fc.constantFrom("drop" as const, "gone" as const) },
  );
  fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const by = poolByHand();
      let open: FakeEndpoint[] = [];
      let most = 6;
      let wanted = 6;
      by.pool.ask("s", { wanted, maxAgeMs: 300_000, renew: false });
      for (const one of steps) {
        if (one === "park") {
          const token = by.granted.shift();
          const endpoint = fakeEndpoint();
          if (token !== undefined) by.tokens.present("park", token, endpoint);
          open.push(endpoint);
        } else if (one === "take") by.pool.take("s")?.over();
        else if (one === "drop") by.pool.drop("s");
        else if (one === "gone") {
          by.pool.sessionGone("s");
          by.granted.splice(0);
          wanted = 0;
        } else if ("ends" in one) {
          open[one.ends % Math.max(1, open.length)]?.leave("reset");
          await Promise.resolve();
        } else if ("wanted" in one) {
          wanted = one.wanted;
          by.pool.ask("s", { wanted, maxAgeMs: 300_000, renew: false });
        } else if ("allowed" in one) {
          most = one.allowed;
          by.configure({ maxPooledPerPrivateProxy: most });
        } else by.now.pass(one.pass);
        open = open.filter(({ done }) => done.length === 0);
        if (by.pool.size !== by.counted || by.pool.size > Math.min(most, wanted)) return false;
      }
      by.pool.close();
      return by.counted === 0 && by.now.alarms === 0;
    }),
  );
  t.pass();
});
