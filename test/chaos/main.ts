/**
 * The cluster of cluster.ts under random faults (docs/chaos.md): node dist/test/chaos/main.js --seconds 60 --seed 1 --engine epoll.
 * Without an engine both in turn, each for half of the time. Exits 1 where anything was violated.
 */
import { parseArgs } from "node:util";
import { testCertificates } from "../harness/certificates.js";
import { enginesAsked } from "../harness/engines-asked.js";
import { printReport } from "./report.js";
import { runChaos } from "./run.js";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() >>> 0) },
    engine: { type: "string", default: "" },
  },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed);
const engines = await enginesAsked(values.engine);
if (!(seconds > 0) || !Number.isInteger(seed) || seed < 0 || engines === undefined) {
  process.stderr.write("usage: main.js [--seconds NUMBER] [--seed INTEGER] [--engine epoll|node]\n");
  process.exit(2);
}

const say = (line: string) => process.stdout.write(`${line}\n`);
say(`seed ${seed}, ${seconds} s, ${engines.join(" and ")}`);
const certificates = await testCertificates();
await certificates.issuePrivate("private-proxy-2");
let violated = 0;
try {
  for (const each of engines) {
    const report = await runChaos({
      engine: each,
      seconds: seconds / engines.length,
      seed: seed >>> 0,
      certificates,
      say,
    });
    printReport(each, report, say);
    violated += report.violations.length;
  }
} finally {
  certificates.remove();
}
if (violated > 0) {
  say(
    `\n${violated} violated. Again: make chaos SECONDS=${seconds} SEED=${seed}${engines.length > 1 ? "" : ` ENGINE=${engines[0]}`}`,
  );
  process.exit(1);
}
say("\nnothing was violated");
