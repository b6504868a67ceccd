import type { ConnectionsOptions, ConnectionsResult } from "../load/connections.js";
import { forkLoad, type LoadProcess } from "../load-process.js";
import { measure } from "../measure.js";
import { inRounds, type Taken } from "../rounds.js";
import { type Bench, type Stage, type Standing, setUp } from "../stage.js";
import { percentile } from "../statistics.js";
import { type BenchCase, mustHaveWorked, ownShare, ownShareFigures, perThing } from "./case.js";

const concurrency = 50;

export const connectionFigures = [
  { key: "rate", title: "connections/s" },
  { key: "hop1", title: "CPU-us each, hop 1" },
  { key: "hop2", title: "CPU-us each, hop 2" },
  { key: "p50", title: "p50, ms" },
  { key: "p99", title: "p99, ms" },
  ...ownShareFigures,
];

/** b: new connections, a hello in, 1 KiB out. */
export const connections: BenchCase = {
  letter: "b",
  async run(bench) {
    const stage = await setUp(bench, bench.contestants);
    const load = forkConnections();
    try {
      const rows = await inRounds(bench, stage, [{ name: `${concurrency} at once` }], (standing) =>
        takeConnections(bench, stage, standing, load),
      );
      return { letter: "b", title: "new connections", figures: connectionFigures, rows };
    } finally {
      await load.close();
      await stage.tearDown();
    }
  },
};

export function forkConnections(): LoadProcess<ConnectionsOptions, ConnectionsResult> {
  return forkLoad("connections");
}

export async function takeConnections(
  { options: { windowMs, warmUpMs } }: Bench,
  stage: Stage,
  standing: Standing,
  load: LoadProcess<ConnectionsOptions, ConnectionsResult>,
): Promise<Taken> {
  const measured = await measure(stage, standing, load, { port: standing.port, concurrency, warmUpMs }, windowMs);
  const { completed, failed, wholeMs } = measured.result;
  mustHaveWorked(completed, failed);
  const sample = {
    rate: completed / measured.seconds,
    ...perThing(measured.cpu, completed),
    p50: percentile(wholeMs, 0.5),
    p99: percentile(wholeMs, 0.99),
    ...ownShare(measured),
  };
  return { sample, limit: measured.limit };
}
