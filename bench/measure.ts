import { availableParallelism } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { cpuSecondsOfAll, machineBusySeconds } from "./cpu.js";
import type { LoadProcess } from "./load-process.js";
import type { Stage, Standing } from "./stage.js";

/** CPU seconds within the window. */
export interface CpuUse {
  readonly hops: readonly number[];
  readonly load: number;
  readonly backend: number;
  readonly machine: number;
}

export interface Measured<Result> {
  readonly result: Result;
  readonly seconds: number;
  readonly cpu: CpuUse;
  /** What there was no more of. */
  readonly limit: string;
}

/** Runs a load against one contestant and takes one window of it. */
export async function measure<Options, Result>(
  stage: Stage,
  { hops }: Standing,
  load: LoadProcess<Options, Result>,
  options: Options,
  windowMs: number,
): Promise<Measured<Result>> {
  await load.start(options);
  await load.begin();
  const read = (): CpuUse => ({
    hops: hops.map(({ pid }) => cpuSecondsOfAll([pid])),
    load: cpuSecondsOfAll([load.pid]),
    backend: cpuSecondsOfAll([stage.backend.pid]),
    machine: machineBusySeconds(),
  });
  const from = monotonicUs();
  const before = read();
  await pause(windowMs);
  const after = read();
  stage.bench.window?.({ from, to: monotonicUs() });
  const { result, seconds, idle } = await load.end();
  await idle;
  const cpu: CpuUse = {
    hops: after.hops.map((at, hop) => at - before.hops[hop]!),
    load: after.load - before.load,
    backend: after.backend - before.backend,
    machine: after.machine - before.machine,
  };
  const titles = hops.map(({ title }) => title);
  return { result, seconds, cpu, limit: limitOf(cpu, titles, seconds, availableParallelism()) };
}

function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

const busyProcess = 0.9;
const busyMachine = 0.92;

/** What was used up: a process that had nearly a core, else the machine, else nothing, which means waiting. */
export function limitOf(cpu: CpuUse, hopTitles: readonly string[], seconds: number, cores: number): string {
  const processes = [
    ...cpu.hops.map((used, at) => ({ name: hopTitles[at]!, used })),
    { name: "load generator", used: cpu.load },
    { name: "backend", used: cpu.backend },
  ];
  const busiest = processes.reduce((a, b) => (b.used > a.used ? b : a));
  if (busiest.used / seconds >= busyProcess) return busiest.name;
  return cpu.machine / seconds / cores >= busyMachine ? "machine" : "waiting";
}
