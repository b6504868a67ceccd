import { mock } from "node:test";
import test, { type ExecutionContext } from "ava";
import type { ProbeResult } from "../../src/private/health.js";
import { createHealthChecks } from "../../src/private/health-checks.js";
import type { NumberedServer, NumberedTarget } from "../../src/private/target-book.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { memoryLog } from "../harness/memory-log.js";

assertNothingLeft(test);

const healthCheck = { type: "tcp", intervalMs: 60_000, timeoutMs: 1000, rise: 1, fall: 1 } as const;

function target(announcementId: number, count: number, more: Partial<NumberedTarget> = {}): NumberedTarget {
  const addresses = Array.from(
    { length: count },
    (_, i) => ({ kind: "unix", path: `/${announcementId}-${i}` }) as const,
  );
  const servers = addresses.map(
    (address): NumberedServer => ({ address, text: `unix:${address.path}`, slot: undefined }),
  );
  return {
    announcementId,
    names: ["a.test"],
    alpn: [],
    addresses,
    servers,
    balance: "least-connections",
    weight: 1,
    priority: 0,
    healthCheck,
    proxyProtocol: "none",
    startTls: "none",
    connectTimeoutMs: 1000,
    queue: { max: 1024, timeoutMs: 5000 },
    cap: undefined,
    ...more,
  };
}

/** Health checks whose probes end when the test says so. */
function checks(t: ExecutionContext, lookedUp: () => boolean = () => true) {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.teardown(() => mock.timers.reset());
  const log = memoryLog();
  const probes: { readonly end: (result: ProbeResult) => void; cancelled: boolean }[] = [];
  let changes = 0;
  const made = createHealthChecks({
    log,
    addressesOf: ({ address }) => (lookedUp() && address.kind === "unix" ? [address] : undefined),
    isFull: () => false,
    changed: () => void changes++,
    probe() {
      let end!: (result: ProbeResult) => void;
      const result = new Promise<ProbeResult>((resolve) => {
        end = resolve;
      });
      const probe = { end, cancelled: false };
      probes.push(probe);
      return {
        result,
        cancel() {
          probe.cancelled = true;
          end({ status: "failed", why: "cancelled" });
        },
      };
    },
  });
  t.teardown(() => made.close());
  return {
    made,
    log,
    probes,
    changes: () => changes,
    /** Lets the first checks become due. */
    begin: () => mock.timers.tick(200),
  };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test.serial("however many addresses there are, no more than 256 are checked at once, and all in the end", async (t) => {
  const { made, probes, begin, changes } = checks(t);
  made.follow([target(1, 300)]);
  begin();
  t.is(probes.length, 256);
  for (const { end } of [...probes]) end({ status: "passed" });
  await turn();
  t.is(probes.length, 300);
  for (const { end } of probes) end({ status: "passed" });
  await turn();
  await turn();
  t.true(changes() >= 1 && changes() <= 2, "of all that come together it is told once");
});

test.serial("a change is logged once, with what it means for the names", async (t) => {
  const { made, log, probes, begin } = checks(t);
  const two = target(1, 2);
  made.follow([two]);
  begin();
  probes[0]!.end({ status: "passed" });
  await turn();
  probes[1]!.end({ status: "failed", why: "refused" });
  await turn();
  made.follow([target(2, 1)]);
  begin();
  probes[2]!.end({ status: "failed", why: "silent" });
  await turn();
  t.deepEqual(
    log.lines.map(({ level, message, fields }) => [level, message, fields.addressesUp, fields.why]),
    [
      ["info", "target is up", 1, undefined],
      ["warn", "target is down: its clients go to its other addresses", 1, "refused"],
      ["warn", "target is down: its names are withdrawn", 0, "silent"],
    ],
  );
  t.deepEqual(
    two.servers.map((server) => made.of(server).state).toSorted(),
    ["down", "up"],
    "what is no longer checked stays known",
  );
});

test.serial(
  "why an address is down is what its last check met: the status said for ever what the first one had",
  async (t) => {
    const { made, probes, begin } = checks(t);
    const one = target(1, 1);
    made.follow([one]);
    begin();
    for (const [at, why] of ["refused", "silent"].entries()) {
      probes[at]!.end({ status: "failed", why });
      await turn();
      t.like(made.of(one.servers[0]!), { state: "down", why });
      mock.timers.tick(healthCheck.intervalMs);
    }
  },
);

test.serial(
  "an address is checked only once its name has been looked up, and a target without a check never",
  async (t) => {
    let lookedUp = false;
    const { made, probes, begin } = checks(t, () => lookedUp);
    const [checked, { healthCheck: _none, ...free }] = [target(1, 1), target(2, 1)];
    made.follow([checked, free]);
    begin();
    t.is(probes.length, 0);
    lookedUp = true;
    made.follow([checked, free]);
    begin();
    t.is(probes.length, 1);
    t.is(made.of(free.servers[0]!).state, "unchecked");
  },
);

test.serial("closed, and taken out of the settings, checks end at once and nothing more is told", async (t) => {
  const { made, probes, begin, log, changes } = checks(t);
  made.follow([target(1, 1), target(2, 1)]);
  begin();
  made.follow([]);
  t.deepEqual(
    probes.map(({ cancelled }) => cancelled),
    [true, true],
  );
  made.close();
  made.follow([target(3, 1)]);
  await turn();
  t.deepEqual([log.lines.length, changes(), probes.length], [0, 0, 2]);
});
