import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chooseEngine } from "../src/transport/choose-engine.js";
import { node24 } from "./node-24.js";

/**
 * Runs the tests: `quick` is what stands in test/unit, test/engine once for each engine, and test/system on the engine that is
 * chosen here by default; `all` adds test/system on the other one, test/system/slow and test/long, and all but test/long once
 * more on Node 24.
 * Ends with what was passed over, and a line `N passed, N failed`.
 */

interface Totals {
  passed: number;
  failed: number;
}

const unit = ["dist/test/unit/**/*.test.js"];
const system = ["dist/test/system/*.test.js"];
const slowSystem = ["dist/test/system/slow/*.test.js"];
const engineSuite = ["dist/test/engine/**/*.test.js"];
const long = ["dist/test/long/**/*.test.js"];
const ava = "node_modules/ava/entrypoints/cli.mjs";

const scratch = mkdtempSync(join(tmpdir(), "proxy-tests-"));
const passedOver = join(scratch, "passed-over");

async function main(): Promise<void> {
  const kind = process.argv[2];
  if (kind !== "quick" && kind !== "all") {
    console.error("usage: run-tests.js quick|all");
    process.exitCode = 2;
    return;
  }
  const totals: Totals = { passed: 0, failed: 0 };
  const engines = await enginesHere();
  await runQuick(process.execPath, engines, totals);
  if (kind === "all") {
    await runOthers(process.execPath, engines, totals);
    await run(process.execPath, long, ["--timeout=20m", "--concurrency=1"], totals);
    const newer = await node24();
    if (newer.status === "found") {
      await runQuick(newer.node, engines, totals);
      await runOthers(newer.node, engines, totals);
    } else note(`Node 24 (${newer.problem}): the quick tests on it`);
  }
  if (existsSync(passedOver)) {
    console.log("\npassed over:");
    for (const line of new Set(readFileSync(passedOver, "utf8").trim().split("\n")))
      console.log(`  for want of ${line}`);
  }
  rmSync(scratch, { recursive: true });
  console.log(`\n${totals.passed} passed, ${totals.failed} failed`);
  process.exitCode = totals.failed === 0 && totals.passed > 0 ? 0 : 1;
}

/** The engines that work on this system, the default first. */
async function enginesHere(): Promise<readonly string[]> {
  const { engine, why } = await chooseEngine("auto");
  if (engine === "epoll") return ["epoll", "node"];
  note(`the epoll engine (${why}): test/engine and test/system on it`);
  return ["node"];
}

async function runQuick(node: string, [first, ...others]: readonly string[], totals: Totals): Promise<void> {
  await run(node, [...unit, ...engineSuite, ...system], [], totals, { PROXY_TEST_ENGINE: first! });
  for (const engine of others) await run(node, engineSuite, [], totals, { PROXY_TEST_ENGINE: engine });
}

/** What quick tests leave out: what takes long, and both roles on the engines that are not the default. */
async function runOthers(node: string, [first, ...others]: readonly string[], totals: Totals): Promise<void> {
  await run(node, slowSystem, [], totals, { PROXY_TEST_ENGINE: first! });
  for (const engine of others) await run(node, [...system, ...slowSystem], [], totals, { PROXY_TEST_ENGINE: engine });
}

function note(line: string): void {
  appendFileSync(passedOver, `${line}\n`);
}

/** One run of ava on one Node. What it counts is read from its last lines; a run that counts nothing has failed. */
async function run(
  node: string,
  files: readonly string[],
  flags: readonly string[],
  totals: Totals,
  environment: Readonly<Record<string, string>> = {},
): Promise<void> {
  const set = Object.entries(environment).map(([name, value]) => `${name}=${value} `);
  console.log(`\n${set.join("")}${node} ${files.join(" ")}`);
  const child = spawn(node, [ava, ...flags, ...files], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...environment, PROXY_TEST_PASSED_OVER: passedOver, NO_COLOR: "1" },
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    process.stdout.write(chunk);
    output += chunk.toString();
  });
  const status = await new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? 1)));
  const lines = output.split("\n");
  const passed = lines.filter((line) => line.startsWith("  ✔ ")).length;
  const failed = lines.filter((line) => line.startsWith("  ✘ ")).length;
  totals.passed += passed;
  totals.failed += status === 0 ? failed : Math.max(1, failed);
}

await main();
