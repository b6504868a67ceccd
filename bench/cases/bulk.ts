import type { BulkOptions, BulkResult } from "../load/bulk.js";
import { forkLoad } from "../load-process.js";
import { measure } from "../measure.js";
import { inRounds } from "../rounds.js";
import { setUp } from "../stage.js";
import { type BenchCase, ownShare, ownShareFigures } from "./case.js";

interface Variant {
  readonly name: string;
  readonly streams: number;
  readonly direction: "up" | "down";
}

const variants: readonly Variant[] = [
  { name: "1 stream down", streams: 1, direction: "down" },
  { name: "8 streams up", streams: 8, direction: "up" },
  { name: "1 stream up", streams: 1, direction: "up" },
  { name: "8 streams down", streams: 8, direction: "down" },
];

/** a: as many bytes as go through. */
export const bulk: BenchCase = {
  letter: "a",
  async run(bench) {
    const { windowMs, warmUpMs, quick } = bench.options;
    const stage = await setUp(bench, bench.contestants);
    const load = forkLoad<BulkOptions, BulkResult>("bulk");
    try {
      const rows = await inRounds(bench, stage, quick ? variants.slice(0, 2) : variants, async (standing, variant) => {
        const { streams, direction } = variant;
        const options = { port: standing.port, streams, direction, warmUpMs };
        const measured = await measure(stage, standing, load, options, windowMs);
        const { result, seconds, cpu, limit } = measured;
        if (result.failed > 0 || result.bytes === 0) throw new Error(`${result.failed} streams were lost`);
        const gigabytes = result.bytes / 1e9;
        const sample: Record<string, number> = { rate: gigabytes / seconds, ...ownShare(measured) };
        for (const [hop, used] of cpu.hops.entries()) sample[`hop${hop + 1}`] = gigabytes / used;
        return { sample, limit };
      });
      return {
        letter: "a",
        title: "bulk",
        figures: [
          { key: "rate", title: "GB/s" },
          { key: "hop1", title: "GB per CPU-s, hop 1" },
          { key: "hop2", title: "GB per CPU-s, hop 2" },
          ...ownShareFigures,
        ],
        rows,
      };
    } finally {
      await load.close();
      await stage.tearDown();
    }
  },
};
