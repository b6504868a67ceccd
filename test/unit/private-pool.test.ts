import test from "ava";
import fc from "fast-check";
import { createParkedShare } from "../../src/private/parked-share.js";
import { createPools, type PoolReport } from "../../src/private/pool.js";
import { createPoolSize } from "../../src/private/pool-size.js";
import { createTokenStock } from "../../src/private/token-stock.js";
import { createToken, tokenWorker } from "../../src/rendezvous/token.js";
import { until } from "../harness/until.js";
import { handClock } from "./announcing.js";

const bounds = { minIdle: 1, maxIdle: 8 };

test("the pool grows by one for each client that found none, up to pool.maxIdle", (t) => {
  const size = createPoolSize(bounds);
  const wanted = Array.from({ length: 9 }, () => {
    size.missed();
    return size.wanted;
  });
  t.deepEqual(wanted, [2, 3, 4, 5, 6, 7, 8, 8, 8]);
});

test("it gives up half of what nobody used in a period, down to pool.minIdle, and keeps what was used", (t) => {
  const size = createPoolSize({ minIdle: 1, maxIdle: 8 });
  for (let n = 0; n < 7; n++) size.missed();
  size.periodOver(8);
  t.is(size.wanted, 8, "some found none in this period");
  const shrinking = Array.from({ length: 5 }, () => {
    size.periodOver(size.wanted);
    return size.wanted;
  });
  t.deepEqual(shrinking, [4, 2, 1, 1, 1]);
  for (let n = 0; n < 7; n++) size.missed();
  size.periodOver(8);
  size.left(0);
  size.periodOver(8);
  t.is(size.wanted, 8, "all were in use at once");
});

test("whatever happens, what is wanted stays within the bounds", (t) => {
  const step = fc.oneof(
    fc.constant("missed" as const),
    fc.record({ left: fc.nat(20) }),
    fc.record({ over: fc.nat(20) }),
    fc.record({ minIdle: fc.nat(10), more: fc.nat(10) }),
  );
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      let now = { minIdle: 2, maxIdle: 5 };
      const size = createPoolSize(now);
      for (const one of steps) {
        if (one === "missed") size.missed();
        else if ("left" in one) size.left(one.left);
        else if ("over" in one) size.periodOver(one.over);
        else {
          now = { minIdle: one.minIdle, maxIdle: one.minIdle + one.more };
          size.configure(now);
        }
        if (size.wanted < now.minIdle || size.wanted > now.maxIdle) return false;
      }
      return true;
    }),
  );
  t.pass();
});

test("tokens are used from the public proxy's workers in turn, and not when they are about to expire", (t) => {
  const now = handClock();
  const stock = createTokenStock(now);
  stock.add([createToken(0), createToken(0), createToken(0)], 60_000);
  stock.add([createToken(1), createToken(1)], 60_000);
  stock.add([createToken(2)], 10_000);
  t.deepEqual(stock.take(3).map(tokenWorker), [0, 1, 2]);
  stock.add([createToken(2)], 10_000);
  now.pass(6000);
  t.deepEqual(stock.take(9).map(tokenWorker), [0, 1, 0]);
  t.deepEqual(stock.take(9), []);
});

test("a stocked token does not keep in memory what was received with it: a granted one was a view into its whole message", (t) => {
  const stock = createTokenStock(() => 0);
  const message = new Uint8Array(4 * 1024 * 1024);
  message.set(createToken(3), 1000);
  stock.add([message.subarray(1000, 1032)], 60_000);
  const [token] = stock.take(1);
  t.is(tokenWorker(token!), 3);
  t.is(token!.buffer.byteLength, 32);
});

function poolsByHand(settings: { minIdle: number; maxIdle: number; max: number }) {
  const now = handClock();
  const parked: string[] = [];
  const reports: (PoolReport & { readonly session: string })[] = [];
  const pools = createPools({
    settings: { ...settings, maxAgeMs: 7 },
    now,
    park: (session, tokens) => parked.push(...tokens.map(() => session)),
  });
  const attach = (session: string) => pools.attached(session, (state) => reports.push({ session, ...state }));
  const tokens = (count: number) => Array.from({ length: count }, () => createToken(0));
  return { pools, parked, reports, attach, tokens };
}

test("what is wanted is asked for once a round, and no more is parked than there are tokens", async (t) => {
  const { pools, parked, reports, attach, tokens } = poolsByHand({ minIdle: 0, maxIdle: 4, max: 9 });
  t.teardown(() => pools.close());
  attach("a");
  await Promise.resolve();
  t.deepEqual(reports, [], "nothing is wanted, which is what a public proxy thinks anyway");
  pools.offered("a", 3);
  pools.offered("a", 100);
  await Promise.resolve();
  t.deepEqual(reports, [{ session: "a", idle: 0, wanted: 4, maxAgeMs: 7, renew: false }]);
  pools.granted("a", tokens(2), 60_000);
  t.deepEqual(parked, ["a", "a"]);
  pools.granted("a", tokens(6), 60_000);
  t.is(pools.held, 4);
  pools.unparked("a", "used", 1);
  t.is(pools.held, 4, "it is replaced at once");
  t.is(parked.length, 5);
});

test("pool.max holds for all public proxies together, and what one gives up another gets", async (t) => {
  const { pools, parked, reports, attach, tokens } = poolsByHand({ minIdle: 4, maxIdle: 4, max: 6 });
  t.teardown(() => pools.close());
  for (const session of ["a", "b"]) {
    attach(session);
    pools.granted(session, tokens(8), 60_000);
  }
  // The first was alone when it parked; then both ask for half.
  t.deepEqual(parked, ["a", "a", "a", "a", "b", "b"]);
  await Promise.resolve();
  t.deepEqual(
    reports.map(({ session, wanted }) => `${session} ${wanted}`),
    ["a 3", "b 3"],
  );
  pools.unparked("a", "closed", 1);
  t.deepEqual(parked.slice(6), ["b"], "the public proxy let one go, and the other gets it");
  pools.detached("a");
  t.deepEqual(parked.slice(7), ["b"]);
  t.is(pools.held, 4);
  pools.unparked("a", "closed", 4);
  t.is(pools.held, 4, "a session that is gone was counted out before");
});

test("a public proxy that lets nobody park is not dialled in a loop", async (t) => {
  const { pools, parked, attach, tokens } = poolsByHand({ minIdle: 1, maxIdle: 1, max: 1 });
  t.teardown(() => pools.close());
  attach("a");
  pools.granted("a", tokens(100), 60_000);
  pools.unparked("a", "failed", 1);
  pools.granted("a", tokens(100), 60_000);
  pools.offered("a", 1);
  t.is(parked.length, 1);
});

test("a pool whose tokens were all used on dial-backs that failed starved until they expired: others are asked for", async (t) => {
  const parked: Uint8Array[] = [];
  let renewals = 0;
  const pools = createPools({
    settings: { minIdle: 2, maxIdle: 2, max: 2, maxAgeMs: 0 },
    now: () => 0,
    park: (_, tokens) => parked.push(...tokens),
    periodMs: 5,
  });
  t.teardown(() => pools.close());
  const tokens = (count: number) => Array.from({ length: count }, () => createToken(0));
  pools.attached("a", ({ renew }) => {
    if (renew) renewals++;
  });
  const periods = () => new Promise((resolve) => setTimeout(resolve, 50));
  pools.granted("a", tokens(2), 60_000);
  await periods();
  t.is(renewals, 0, "there are none left, but none is missing");
  pools.unparked("a", "failed", 2);
  await until(() => renewals > 0);
  t.is(pools.held, 0);
  pools.granted("a", tokens(3), 60_000);
  t.is(pools.held, 2);
  t.is(parked.length, 4);
  const asked = renewals;
  await periods();
  t.is(renewals, asked, "what is needed is there again");
  pools.unparked("a", "used", 2);
  await periods();
  t.is(renewals, asked, "the next grant is on its way: nothing has failed since the last");
});

test("dial-backs to park are dealt to the workers that are there, and counted out with a worker that ends", (t) => {
  const share = createParkedShare(3);
  const running = (worker: number) => worker !== 1;
  const { dealt } = share.deal("a", [1, 2, 3, 4], running);
  t.deepEqual(
    [...dealt],
    [
      [0, [1, 3]],
      [2, [2, 4]],
    ],
  );
  share.ended(0, "a", 2);
  t.deepEqual([...share.deal("b", [5, 6], running).dealt], [[0, [5, 6]]]);
  t.deepEqual([...share.died(0)], [["b", 2]]);
  share.sessionGone("a");
  share.ended(2, "a", 1);
  t.deepEqual([...share.died(2)], []);
  t.like(
    share.deal("a", [1, 2], () => false),
    { left: 2 },
  );
});

test("bug: a lower pool.max let nothing go that was parked already", async (t) => {
  const { pools, reports, attach, tokens } = poolsByHand({ minIdle: 4, maxIdle: 8, max: 8 });
  t.teardown(() => pools.close());
  attach("a");
  pools.granted("a", tokens(8), 60_000);
  await Promise.resolve();
  pools.configure({ minIdle: 0, maxIdle: 2, max: 2, maxAgeMs: 7 });
  await Promise.resolve();
  pools.configure({ minIdle: 0, maxIdle: 2, max: 1, maxAgeMs: 7 });
  await Promise.resolve();
  t.deepEqual(
    reports.map(({ wanted }) => wanted),
    [4, 2, 1],
  );
});
