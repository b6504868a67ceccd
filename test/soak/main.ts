/**
 * A pair under load for a long time (docs/chaos.md): node dist/test/soak/main.js --minutes 10 --engine epoll. Without an engine
 * both in turn, each for half of the time. Exits 1 where anything did not come back.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { testCertificates } from "../harness/certificates.js";
import { enginesAsked } from "../harness/engines-asked.js";
import { runSoak } from "./run.js";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() >>> 0) },
    engine: { type: "string", default: "" },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
const engines = await enginesAsked(values.engine);
if (!(minutes > 0) || !Number.isInteger(seed) || seed < 0 || engines === undefined) {
  process.stderr.write("usage: main.js [--minutes NUMBER] [--seed INTEGER] [--engine epoll|node]\n");
  process.exit(2);
}

const say = (line: string) => process.stdout.write(`${line}\n`);
const certificates = await testCertificates();
const seconds = (minutes * 60) / engines.length;
const resultsDir = join("run", "soak");
let connections = 0;
let violated = 0;
say(`seed ${seed}, ${engines.map((engine) => `${engine} for ${Math.round(seconds)} s`).join(", ")}`);
try {
  for (const engine of engines) {
    const report = await runSoak({ engine, seconds, seed: seed >>> 0, certificates, resultsDir, say });
    connections += report.connections;
    violated += report.violations.length;
    for (const violation of report.violations.slice(0, 20)) say(`VIOLATED (${engine}): ${violation}`);
    say(`${engine}: ${report.chart}, ${report.figures}\n`);
  }
} finally {
  certificates.remove();
}
say(`${connections} connections in all`);
if (violated > 0) {
  say(`${violated} violated`);
  process.exit(1);
}
say("everything came back");
