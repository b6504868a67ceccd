import { mock } from "node:test";
import test, { type ExecutionContext } from "ava";
import { descriptorNeed } from "../../src/public/descriptor-need.js";
import { descriptorGuard, isShortage } from "../../src/transport/descriptors.js";

/** A guard under a clock of the test, and what it does and tells. */
function guarded(t: ExecutionContext) {
  mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  t.teardown(() => mock.timers.reset());
  const did: string[] = [];
  let canGoOn = true;
  const guard = descriptorGuard({
    starved: (state, detail) => did.push(`${state}: ${detail}`),
    gate(open) {
      if (open && !canGoOn) return false;
      did.push(open ? "open" : "shut");
      return true;
    },
  });
  t.teardown(() => guard.close());
  return {
    guard,
    did,
    setCanGoOn(can: boolean) {
      canGoOn = can;
    },
  };
}

test.serial("out of memory is paused for, tried again ever less often, and told of once", (t) => {
  const { guard, did } = guarded(t);
  const outOfMemory = () => guard.failed("accept: ENOMEM, not enough memory", "ENOMEM");
  outOfMemory();
  outOfMemory();
  t.is(did.length, 2);
  t.is(did[0], "shut");
  t.regex(did[1]!, /^paused: accept: ENOMEM, .*; raise the memory/);
  for (const pauseMs of [250, 500, 1000, 1000, 1000]) {
    mock.timers.tick(pauseMs - 1);
    t.not(did.at(-1), "open", String(pauseMs));
    mock.timers.tick(1);
    t.is(did.at(-1), "open", String(pauseMs));
    outOfMemory();
    t.is(did.at(-1), "shut");
  }
  mock.timers.tick(1000);
  t.is(did.at(-1), "open");
  mock.timers.tick(999);
  t.is(did.filter((text) => text.startsWith("resumed")).length, 0);
  mock.timers.tick(1);
  t.regex(did.at(-1)!, /^resumed/);
  t.is(did.filter((text) => text.startsWith("paused")).length, 1);
});

test.serial("a listener that cannot go on stays paused, and is asked again", (t) => {
  const { guard, did, setCanGoOn } = guarded(t);
  setCanGoOn(false);
  guard.failed("no room to watch");
  mock.timers.tick(5000);
  t.deepEqual(did, ["shut", "paused: no room to watch"]);
  setCanGoOn(true);
  mock.timers.tick(250);
  t.is(did.at(-1), "open");
});

test("each shortage of the system names what to raise, and nothing else is one", (t) => {
  for (const name of ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"]) t.true(isShortage(name), name);
  for (const name of ["ECONNREFUSED", "toString", undefined]) t.false(isShortage(name), String(name));
});

test("a proxy at all its limits needs two descriptors for each connection, and those of its pool and pipes", (t) => {
  const limits = { connections: 10_000, parked: 10_000, pooledPerPrivateProxy: 256, halfOpenHellos: 4096 };
  const of = (engine: "epoll" | "node", workers: number) =>
    descriptorNeed({ limits, transport: { engine: "auto", workers, maxPipes: 256 } }, engine, workers);
  t.is(of("node", 0), 20_000 + 256 + 256);
  t.is(of("epoll", 2), 20_000 + 256 + 256 + 2 * (2 * 256 + 16));
});
