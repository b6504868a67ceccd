import { mock } from "node:test";
import test, { type ExecutionContext } from "ava";
import { isAddress, parseAddress } from "../../src/base/address.js";
import { type Health, unchecked } from "../../src/private/health.js";
import type { IncomingOffer, TargetFacts } from "../../src/private/messages.js";
import { createServerBoard, createServerLoads } from "../../src/private/server-loads.js";
import { createTargetBook, type TargetStatement } from "../../src/private/target-book.js";
import { createTargets } from "../../src/private/targets.js";

function statement(address: string, names: readonly string[] = ["a.test"], changes: Partial<TargetStatement> = {}) {
  const parsed = parseAddress(address);
  if (!isAddress(parsed)) throw new Error(parsed.problem);
  return {
    names,
    alpn: [],
    addresses: [parsed],
    balance: "least-connections",
    weight: 1,
    priority: 0,
    proxyProtocol: "none",
    startTls: "none",
    connectTimeoutMs: 3000,
    queue: { max: 1024, timeoutMs: 5000 },
    ...changes,
  } as const;
}

const addresses = (...texts: string[]) => texts.flatMap((text) => statement(text).addresses);

/** A book whose name server is the test. */
function book(t: ExecutionContext) {
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  t.teardown(() => mock.timers.reset());
  const published: (readonly TargetFacts[])[] = [];
  const asked: { host: string; answer(...ips: string[]): Promise<void> }[] = [];
  let changes = 0;
  const health = new Map<string, Health>();
  const made = createTargetBook({
    publish: (targets) => published.push(targets),
    changed: () => changes++,
    healthOf: (server) => health.get(server.text) ?? unchecked,
    lookup: (host) =>
      new Promise((resolve) => {
        asked.push({
          host,
          async answer(...ips) {
            resolve(ips);
            for (let i = 0; i < 5; i++) await Promise.resolve();
          },
        });
      }),
  });
  t.teardown(() => made.close());
  /** `ID ADDRESS -> IPS` of what was published last. */
  const now = () =>
    published.at(-1)?.map(({ announcementId, address, servers }) => {
      const ips = servers.flatMap(({ resolved }) => resolved.map((one) => (one.kind === "tcp" ? one.ip : one.path)));
      return `${announcementId} ${address} -> ${ips.join(" ")}`;
    });
  return { book: made, published, asked, now, health, changes: () => changes };
}

test.serial("an IP address and a unix socket need no look-up", (t) => {
  const { book: made, asked, now } = book(t);
  made.replace([statement("127.0.0.1:1"), statement("[::1]:2"), statement("unix:/run/x")]);
  t.deepEqual(now(), ["1 127.0.0.1:1 -> 127.0.0.1", "2 [::1]:2 -> ::1", "3 unix:/run/x -> /run/x"]);
  t.deepEqual(asked, []);
});

test.serial("a target that did not change keeps its id, one that changed in anything gets a new one", (t) => {
  const { book: made } = book(t);
  made.replace([statement("127.0.0.1:1"), statement("127.0.0.1:2")]);
  const changes: TargetStatement[] = [
    statement("127.0.0.1:3"),
    statement("127.0.0.1:2", ["b.test"]),
    statement("127.0.0.1:2", ["a.test"], { alpn: ["h2"] }),
    statement("127.0.0.1:2", ["a.test"], { proxyProtocol: "v2" }),
    statement("127.0.0.1:2", ["a.test"], { connectTimeoutMs: 1 }),
    statement("127.0.0.1:2", ["a.test"], { balance: "source-ip" }),
    statement("127.0.0.1:2", ["a.test"], {
      healthCheck: { type: "tls", intervalMs: 1, timeoutMs: 1, rise: 1, fall: 1 },
    }),
    statement("127.0.0.1:2", ["a.test"], { addresses: addresses("127.0.0.1:2", "127.0.0.1:4") }),
  ];
  for (const [i, changed] of changes.entries()) {
    const { added, removed } = made.replace([changed, statement("127.0.0.1:1")]);
    t.deepEqual(
      added.map(({ announcementId }) => announcementId),
      [3 + i],
    );
    t.is(removed.length, 1);
    t.is(made.current[1]?.announcementId, 1);
  }
});

test.serial("a target whose weight or priority alone has changed keeps its id", (t) => {
  const { book: made } = book(t);
  made.replace([statement("127.0.0.1:1")]);
  t.deepEqual(made.replace([statement("127.0.0.1:1", ["a.test"], { weight: 7, priority: 2 })]), {
    added: [],
    removed: [],
  });
  t.like(made.current[0], { announcementId: 1, weight: 7, priority: 2 });
});

test.serial(
  "each address has a slot of its own for as long as its target serves, and then another may have it",
  (t) => {
    const { book: made, published } = book(t);
    const slots = () => published.at(-1)!.map(({ servers }) => servers.map(({ slot }) => slot));
    const two = { addresses: addresses("127.0.0.1:1", "127.0.0.1:2") };
    made.replace([statement("127.0.0.1:1", ["a.test"], two), statement("127.0.0.1:1", ["b.test"])]);
    t.deepEqual(slots(), [[0, 1], [2]]);
    made.replace([statement("127.0.0.1:1", ["c.test"])]);
    t.deepEqual(slots(), [[3], [0, 1], [2]]);
    mock.timers.tick(10_000);
    made.replace([statement("127.0.0.1:1", ["d.test"])]);
    t.true([0, 1, 2].includes(slots()[0]![0]!));
  },
);

test.serial("two targets that say the same are two, also after a reload", (t) => {
  const { book: made } = book(t);
  const twice = [statement("127.0.0.1:1"), statement("127.0.0.1:1")];
  made.replace(twice);
  t.deepEqual(made.replace(twice), { added: [], removed: [] });
  t.deepEqual(
    made.current.map(({ announcementId }) => announcementId),
    [1, 2],
  );
});

test.serial(
  "a target that was taken out still serves what is under way, at the address it had, and then is gone",
  async (t) => {
    const { book: made, asked, now } = book(t);
    made.replace([statement("old.lan:1"), statement("127.0.0.1:9")]);
    await asked[0]!.answer("10.0.0.1");
    made.replace([statement("new.lan:1")]);
    await asked[1]!.answer("10.0.0.2");
    t.deepEqual(now(), ["3 new.lan:1 -> 10.0.0.2", "1 old.lan:1 -> 10.0.0.1", "2 127.0.0.1:9 -> 127.0.0.1"]);
    mock.timers.tick(10_000);
    t.deepEqual(now(), ["3 new.lan:1 -> 10.0.0.2"]);
  },
);

test.serial("a host is looked up once however many targets are there, and again every ten seconds", async (t) => {
  const { book: made, asked, published, now } = book(t);
  made.replace([statement("host.lan:1"), statement("host.lan:2")]);
  t.is(asked.length, 1);
  await asked[0]!.answer("10.0.0.1", "10.0.0.2");
  t.deepEqual(now(), ["1 host.lan:1 -> 10.0.0.1 10.0.0.2", "2 host.lan:2 -> 10.0.0.1 10.0.0.2"]);
  const before = published.length;
  mock.timers.tick(10_000);
  t.is(asked.length, 2);
  await asked[1]!.answer("10.0.0.1", "10.0.0.2");
  t.is(published.length, before, "what did not change is not told again");
  mock.timers.tick(10_000);
  await asked[2]!.answer("10.0.0.3");
  t.deepEqual(now(), ["1 host.lan:1 -> 10.0.0.3", "2 host.lan:2 -> 10.0.0.3"]);
});

test.serial("a name server that gives no answer, or none in time, does not take the target down with it", async (t) => {
  const { book: made, asked, now } = book(t);
  made.replace([statement("host.lan:1")]);
  await asked[0]!.answer("10.0.0.1");
  mock.timers.tick(10_000);
  mock.timers.tick(10_000);
  t.is(asked.length, 2, "one question at a time");
  await asked[1]!.answer();
  t.deepEqual(now(), ["1 host.lan:1 -> 10.0.0.1"]);
});

test.serial("a new target is ready after the first answer about its host, also when that is none", async (t) => {
  const { book: made, asked, changes } = book(t);
  made.replace([statement("host.lan:1"), statement("127.0.0.1:1")]);
  const states = () => made.current.map((target) => made.serving(target).state);
  t.deepEqual([states(), made.settled], [["pending", "up"], false]);
  const before = changes();
  await asked[0]!.answer();
  t.deepEqual([states(), made.settled], [["up", "up"], true]);
  t.is(changes(), before + 1);
});

test.serial("a target that is checked serves once an address is up, and is down when all of them are", (t) => {
  const { book: made, published, health } = book(t);
  const check = { type: "tcp", intervalMs: 1, timeoutMs: 1, rise: 1, fall: 1 } as const;
  const two = { addresses: addresses("127.0.0.1:1", "127.0.0.1:2"), healthCheck: check };
  made.replace([statement("127.0.0.1:1", ["a.test"], two)]);
  const now = () => {
    made.healthChanged();
    return [made.serving(made.current[0]!), made.settled, published.at(-1)![0]!.servers.map(({ up }) => up)];
  };
  t.deepEqual(now(), [{ state: "pending", why: "its addresses are being checked" }, false, [false, false]]);
  health.set("127.0.0.1:1", { state: "down", passed: 0, why: "refused" });
  t.like(now(), [{ state: "pending" }, false, [false, false]]);
  health.set("127.0.0.1:2", { state: "up", failed: 0 });
  t.deepEqual(now(), [{ state: "up" }, true, [false, true]]);
  health.set("127.0.0.1:2", { state: "down", passed: 0, why: "silent" });
  t.deepEqual(now(), [{ state: "down", why: "127.0.0.1:1: refused; 127.0.0.1:2: silent" }, true, [false, false]]);
});

test.serial("what was replaced stays until what replaces it was checked, and then its time begins", (t) => {
  const { book: made, now, health } = book(t);
  const healthCheck = { type: "tcp", intervalMs: 1, timeoutMs: 1, rise: 1, fall: 1 } as const;
  made.replace([statement("127.0.0.1:1")]);
  made.replace([statement("127.0.0.1:2", ["a.test"], { healthCheck })]);
  mock.timers.tick(60_000);
  t.is(now()?.length, 2);
  health.set("127.0.0.1:2", { state: "down", passed: 0, why: "refused" });
  made.healthChanged();
  mock.timers.tick(9999);
  t.is(now()?.length, 2);
  mock.timers.tick(1);
  t.deepEqual(now(), ["2 127.0.0.1:2 -> 127.0.0.1"]);
});

test.serial("an answer that comes after the end is told to nobody", async (t) => {
  const { book: made, asked, published } = book(t);
  made.replace([statement("host.lan:1")]);
  made.replace([]);
  made.close();
  const before = published.length;
  await asked[0]!.answer("10.0.0.1");
  t.is(published.length, before);
});

const facts = (announcementId: number, patterns: readonly string[]): TargetFacts => ({
  announcementId,
  patterns,
  address: `target-${announcementId}`,
  balance: "least-connections",
  servers: [],
  proxyProtocol: "none",
  startTls: "none",
  connectTimeoutMs: 1,
});
const offer = (announcementId: number, serverName: string | undefined) =>
  ({ announcementId, serverName }) as IncomingOffer;

test("an offer reaches the target of its announcement, and only for a name that the announcement bears", (t) => {
  const targets = createTargets(createServerLoads(createServerBoard(1), 0));
  targets.replace([facts(1, ["a.test", "*.b.test"]), facts(2, ["a.test"]), facts(3, ["*"])]);
  t.is(targets.of(offer(1, "a.test")).address, "target-1");
  t.is(targets.of(offer(2, "a.test")).address, "target-2");
  t.is(targets.of(offer(1, "x.b.test")).address, "target-1");
  t.is(targets.of(offer(3, undefined)).address, "target-3");
  for (const [id, name] of [
    [1, "x.y.b.test"],
    [1, undefined],
    [2, "x.b.test"],
    [4, "a.test"],
  ] as const) {
    t.throws(() => targets.of(offer(id, name)), { code: "name_not_served" });
  }
  targets.replace([facts(2, ["a.test"])]);
  t.throws(() => targets.of(offer(1, "a.test")), { code: "name_not_served" });
});

test("among 10,000 names of one target an offer's is found at once", (t) => {
  const targets = createTargets(createServerLoads(createServerBoard(1), 0));
  const names = Array.from({ length: 10_000 }, (_, i) => `host-${i}.test`);
  targets.replace([facts(1, names)]);
  const started = performance.now();
  for (const name of names) targets.of(offer(1, name));
  t.true(performance.now() - started < 500);
});
