import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { drawChart } from "./chart.js";
import type { Contestant } from "./contestants/contestant.js";
import type { CaseResult } from "./figures.js";
import { defaultEngines, type Options } from "./options.js";

/** All that one run found out. Nothing of it may be compared with another run. */
export interface Report {
  readonly command: string;
  readonly at: string;
  readonly took: string;
  readonly commit: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGiB: number;
    readonly kernel: string;
    readonly node: string;
  };
  /** The one-minute load before the run: what others did on the machine. */
  readonly loadBefore: number;
  readonly rounds: number;
  readonly contestants: readonly {
    readonly name: string;
    readonly settings: string;
    readonly missing: string | null;
  }[];
  readonly cases: readonly CaseResult[];
}

export const resultsDirectory = fileURLToPath(new URL("../../bench/results/", import.meta.url));

export function describeMachine(): Report["machine"] {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
  };
}

/** One minute's, from /proc/loadavg. */
export function loadNow(): number {
  return Number(readFileSync("/proc/loadavg", "latin1").split(" ")[0]);
}

export function commitHash(): string {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return "unknown";
  }
}

/** As make is called for it. */
export function commandOf({ only, rounds, quick, engines, against }: Options): string {
  return [
    "make bench",
    `ONLY=${only.join(",")}`,
    `ROUNDS=${rounds}`,
    ...(quick ? ["QUICK=1"] : []),
    ...(engines.join() === defaultEngines ? [] : [`ENGINES=${engines.join(",")}`]),
    ...(against.length === 0 ? [] : [`AGAINST=${against.join(",")}`]),
  ].join(" ");
}

export function listContestants(contestants: readonly Contestant[]): Report["contestants"] {
  return contestants.map((contestant) => {
    const { name, cases } = contestant;
    const settings = cases === undefined ? contestant.settings : `in case ${cases.join(", ")}: ${contestant.settings}`;
    return { name, settings, missing: contestant.missing() ?? null };
  });
}

/** Writes NAME.json and NAME.svg; returns their paths. */
export function writeReport(report: Report): readonly string[] {
  mkdirSync(resultsDirectory, { recursive: true });
  const name = report.at.replace(/[:.]/g, "-");
  const { machine } = report;
  const caption = `${report.command}; ${machine.cores} cores of ${machine.cpu}, Node ${machine.node}, ${report.at.slice(0, 10)}`;
  const files = [
    { path: join(resultsDirectory, `${name}.json`), text: `${JSON.stringify(report, undefined, 2)}\n` },
    { path: join(resultsDirectory, `${name}.svg`), text: drawChart(report.cases, caption) },
  ];
  for (const { path, text } of files) writeFileSync(path, text);
  return files.map(({ path }) => path);
}
