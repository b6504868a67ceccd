import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import test from "ava";
import { cpuSecondsOfAll, parseCpuTicks, withDescendants } from "../../bench/cpu.js";
import { summarise } from "../../bench/cpu-profile.js";
import { memoryOf, parseSmapsRollup } from "../../bench/memory.js";
import { assertNothingLeft } from "../harness/leaks.js";

assertNothingLeft(test);

const onLinux = process.platform === "linux" ? test : test.skip;

test("user and system ticks are read behind a command that holds brackets and spaces", (t) => {
  t.is(parseCpuTicks("12 (a) S) (b 1 2) S 1 12 12 0 -1 4194560 100 200 0 0 37 5 11 12 20 0 1 0 123 456"), 42);
});

onLinux("the CPU a process burns is accounted to it, within two ticks", (t) => {
  const before = cpuSecondsOfAll([process.pid]);
  const used = process.cpuUsage();
  while (process.cpuUsage(used).user + process.cpuUsage(used).system < 150_000);
  const { user, system } = process.cpuUsage(used);
  const accounted = cpuSecondsOfAll([process.pid]) - before;
  t.true(Math.abs(accounted - (user + system) / 1e6) <= 0.025, `${accounted} s of ${(user + system) / 1e6} s`);
});

onLinux("children count, and one that is gone counts as nothing", async (t) => {
  const code = `
    const { spawn } = require("node:child_process");
    const until = Date.now() + 60; while (Date.now() < until);
    const child = spawn(process.execPath, ["-e", "process.stdin.resume(); console.log(1)"], { stdio: ["pipe", "pipe", 2] });
    child.stdout.once("data", () => console.log(child.pid));
    process.stdin.on("end", () => child.stdin.end()).resume();`;
  const parent = spawn(process.execPath, ["-e", code], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(parent.stdout!, "data");
  const child = Number(String(line));
  t.deepEqual(withDescendants(parent.pid!), [parent.pid, child]);
  t.true(cpuSecondsOfAll([parent.pid!]) > cpuSecondsOfAll([child]));
  t.true(cpuSecondsOfAll([child]) > 0);
  parent.stdin!.end();
  await once(parent, "close");
  t.is(cpuSecondsOfAll([parent.pid!]), 0);
});

onLinux("memory is read from the kernel's summary", (t) => {
  t.deepEqual(parseSmapsRollup("5581 ---p [rollup]\nRss:     1234 kB\nPss:      567 kB\nPss_Dirty:   1 kB\n"), {
    rss: 1234,
    pss: 567,
  });
  const before = memoryOf([process.pid]);
  const kept = Buffer.alloc(64 * 1024 * 1024, 1);
  const grown = memoryOf([process.pid]).rss - before.rss;
  // The kernel may add huge pages, and the engine's other threads a heap.
  t.true(grown > 60 * 1024 && grown < 128 * 1024, `${grown} KiB for ${kept.length} bytes`);
  t.true(before.pss <= before.rss);
});

test("a profile's time is split by place and function, without the idle time", (t) => {
  const frame = (id: number, functionName: string, url = "") => ({
    id,
    callFrame: { functionName, url, lineNumber: 9 },
  });
  const profile = {
    startTime: 5000,
    nodes: [
      frame(1, "(idle)"),
      frame(2, "claim", "file:///somewhere/dist/src/public/parking.js"),
      frame(3, "writev"),
      frame(4, "onread", "node:internal/stream_base_commons"),
      frame(5, "(garbage collector)"),
      frame(6, "send", "file:///somewhere/node_modules/@grpc/grpc-js/build/src/call.js"),
    ],
    samples: [1, 2, 3, 4, 5, 6, 2],
    timeDeltas: [1000, 100, 300, 200, 100, 100, 200],
  };
  const summary = summarise(profile, []);
  t.is(summary.busySeconds, 0.001);
  const areas = Object.fromEntries(summary.areas.map(({ name, share }) => [name, Math.round(share * 100)]));
  t.deepEqual(areas, {
    "our src/public": 30,
    "native calls from JavaScript": 30,
    "Node's own JavaScript (net, stream, timers)": 20,
    "garbage collection": 10,
    packages: 10,
  });
  t.is(summary.functions[0]!.name, "claim dist/src/public/parking.js:10");
  t.deepEqual(
    summarise(profile, [{ from: 6000, to: 6150 }]).functions.map(({ name }) => name),
    ["claim dist/src/public/parking.js:10"],
  );
});

onLinux("the kernel ticks 100 times a second, as the accounting takes for granted", (t) => {
  // AT_CLKTCK (17) in the auxiliary vector: pairs of 64-bit words.
  const auxv = readFileSync("/proc/self/auxv");
  const entries = Array.from({ length: auxv.length / 16 }, (_, at) => [
    auxv.readBigUInt64LE(at * 16),
    auxv.readBigUInt64LE(at * 16 + 8),
  ]);
  t.is(entries.find(([type]) => type === 17n)?.[1], 100n);
});
