import type { Contestant } from "../contestants/contestant.js";
import type { DelayResult } from "../load/delay-lines.js";
import { forkLoad, type LoadProcess } from "../load-process.js";
import { measure } from "../measure.js";
import { inRounds } from "../rounds.js";
import { type Standing, setUp } from "../stage.js";
import { percentile } from "../statistics.js";
import { type BenchCase, mustHaveWorked } from "./case.js";
import { forkConnections } from "./connections.js";

const delayMs = 25;
/** Few, so that what is measured is the way and not a queue. */
const concurrency = 4;

type Line = LoadProcess<undefined, DelayResult>;

/** e: from connect to the first byte of the answer, 25 ms one way on either leg. */
export const firstByte: BenchCase = {
  letter: "e",
  async run(bench) {
    const lines = new Map<Contestant, Line[]>();
    async function openLine(contestant: Contestant, target: number): Promise<number> {
      const line: Line = forkLoad("delay-lines", [String(target), String(delayMs)]);
      lines.set(contestant, [...(lines.get(contestant) ?? []), line]);
      const port = await line.listening();
      await line.start(undefined);
      return port;
    }

    const windowMs = bench.options.quick ? 700 : 3000;
    const warmUpMs = bench.options.quick ? 250 : 500;
    const stage = await setUp(bench, bench.contestants, openLine);
    const load = forkConnections();
    try {
      const entrances = new Map<Contestant, number>();
      for (const { contestant, port } of stage.standing) entrances.set(contestant, await openLine(contestant, port));
      const variant = { name: `${delayMs} ms one way on either leg` };
      const take = async (standing: Standing) => {
        const { contestant } = standing;
        const own = lines.get(contestant)!;
        await Promise.all(own.map((line) => line.begin()));
        const options = { port: entrances.get(contestant)!, concurrency, warmUpMs };
        const { result, limit } = await measure(stage, standing, load, options, windowMs);
        const errors = (await Promise.all(own.map((line) => line.end()))).flatMap((end) => end.result.errorsMs);
        mustHaveWorked(result.completed, result.failed);
        const sample = {
          p50: percentile(result.firstByteMs, 0.5),
          p99: percentile(result.firstByteMs, 0.99),
          samples: result.completed,
          error50: percentile(errors, 0.5),
          error99: percentile(errors, 0.99),
        };
        return { sample, limit };
      };
      // Waiting is most of it, and compiled code has no part in that.
      const rows = await inRounds(bench, stage, [variant], take, { warmUp: false });
      return {
        letter: "e",
        title: "time to the first byte",
        figures: [
          { key: "p50", title: "p50, ms" },
          { key: "p99", title: "p99, ms" },
          { key: "samples", title: "connections" },
          { key: "error50", title: "delay line late, p50, ms" },
          { key: "error99", title: "delay line late, p99, ms" },
        ],
        rows,
      };
    } finally {
      await load.close();
      await stage.tearDown();
      await Promise.all([...lines.values()].flat().map((line) => line.close()));
    }
  },
};
