/**
 * Our pair and the peers side by side: `make bench`, or `node dist/bench/main.js ONLY=b,c ROUNDS=3`. Prints tables, and writes
 * bench/results/*.json and *.svg. See bench/README.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../src/base/errors.js";
import { initAuthority } from "../src/certificates/authority.js";
import { issueCertificate } from "../src/certificates/issue.js";
import { cases } from "./cases/all.js";
import { contestants } from "./contestants/all.js";
import type { CaseResult } from "./figures.js";
import { serverName } from "./load/hello.js";
import { type Options, parseOptions } from "./options.js";
import { profileOurs } from "./profile.js";
import {
  commandOf,
  commitHash,
  describeMachine,
  listContestants,
  loadNow,
  type Report,
  writeReport,
} from "./report.js";
import type { Bench } from "./stage.js";
import { formatCase } from "./table.js";

async function main(options: Options, scratch: string): Promise<void> {
  const all = contestants(options.engines).filter(
    ({ name, cases }) =>
      (options.against.length === 0 || options.against.some((start) => name.startsWith(start))) &&
      (cases === undefined || cases.some((letter) => options.only.includes(letter))),
  );
  const bench: Bench = {
    options,
    contestants: all.filter((contestant) => contestant.missing() === undefined),
    certificates: join(scratch, "certificates"),
    scratch,
    say: (line) => console.error(`  ${line}`),
  };
  await makeCertificates(bench.certificates);
  if (options.profile) return profileOurs(bench);

  const listed = listContestants(all);
  for (const { name, settings, missing } of listed)
    console.log(
      missing === null ? `${name}: ${settings}` : `${name}: MISSING, for want of ${missing} (make bench-peers)`,
    );
  const startedAt = Date.now();
  const loadBefore = loadNow();
  const results: CaseResult[] = [];
  for (const one of cases) {
    if (!options.only.includes(one.letter)) continue;
    console.error(`case ${one.letter} ...`);
    const taking = bench.contestants.filter((each) => each.cases?.includes(one.letter) ?? true);
    const result = await one.run({ ...bench, contestants: taking });
    results.push(result);
    console.log(`\n${formatCase(result)}`);
  }
  const report: Report = {
    command: commandOf(options),
    at: new Date(startedAt).toISOString(),
    took: `${Math.round((Date.now() - startedAt) / 1000)} s`,
    commit: commitHash(),
    machine: describeMachine(),
    loadBefore,
    rounds: options.rounds,
    contestants: listed,
    cases: results,
  };
  console.log(`\n${report.command}, ${report.took}, load before it ${loadBefore}`);
  for (const path of writeReport(report)) console.log(path);
}

async function makeCertificates(directory: string): Promise<void> {
  await initAuthority(directory);
  await issueCertificate({ caDir: directory, role: "public", name: "public-proxy-1", ip: ["127.0.0.1"] });
  await issueCertificate({ caDir: directory, role: "private", name: "private-proxy-1" });
  await issueCertificate({ caDir: directory, role: "private", name: "crowd" });
  await issueCertificate({ caDir: directory, role: "server", name: "internal-server", dns: [serverName] });
}

const parsed = parseOptions(process.argv.slice(2), process.env);
if (parsed.status === "invalid") {
  console.error(parsed.problem);
  process.exit(2);
}
const scratch = mkdtempSync(join(tmpdir(), "bench-"));
process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
try {
  await main(parsed.options, scratch);
} catch (error) {
  console.error(`error: ${messageOf(error)}`);
  process.exitCode = 1;
}
