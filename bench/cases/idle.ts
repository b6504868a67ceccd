import { readdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { messageOf } from "../../src/base/errors.js";
import { withDescendants } from "../cpu.js";
import { rowsBuilder, type Sample } from "../figures.js";
import type { HoldOptions, HoldResult } from "../load/hold.js";
import { forkLoad } from "../load-process.js";
import { memoryOf } from "../memory.js";
import { until } from "../processes.js";
import { rotated } from "../rounds.js";
import { type Standing, setUp } from "../stage.js";
import type { BenchCase } from "./case.js";

/** Descriptors a contestant may keep open of those it had for the first wave: pools, the mesh. */
const leftOver = 200;

/** d: what a silent connection keeps in memory: the slope between few and many, after a first wave as large as all. */
export const idle: BenchCase = {
  letter: "d",
  async run(bench) {
    const { quick } = bench.options;
    const { few, many } = quick ? { few: 250, many: 1500 } : { few: 1000, many: 8000 };
    const variant = `${few} to ${many} connections`;
    const settleMs = quick ? 400 : 1500;
    const rounds = quick ? 1 : Math.min(2, bench.options.rounds);
    const builder = rowsBuilder();
    for (let round = 0; round < rounds; round++) {
      for (const contestant of rotated(bench.contestants, round)) {
        if (contestant.name === "direct") continue;
        // Anew, and alone: memory that an earlier wave left behind would count.
        const stage = await setUp(bench, [contestant]);
        try {
          for (const { problem } of stage.failed) builder.problem(variant, contestant.name, problem);
          for (const standing of stage.standing)
            builder.add(variant, contestant.name, await takeSlope(standing, { few, many, settleMs }), "waiting");
        } catch (error) {
          builder.problem(variant, contestant.name, messageOf(error));
          bench.say(`${contestant.name}, ${variant}: ${messageOf(error)}`);
        } finally {
          await stage.tearDown();
        }
      }
    }
    return {
      letter: "d",
      title: "silent connections",
      figures: [
        { key: "hop1", title: "KiB of RSS each, hop 1" },
        { key: "hop2", title: "KiB of RSS each, hop 2" },
        { key: "pss1", title: "KiB of PSS each, hop 1" },
        { key: "pss2", title: "KiB of PSS each, hop 2" },
        { key: "base1", title: "MiB in all, hop 1" },
        { key: "base2", title: "MiB in all, hop 2" },
      ],
      rows: builder.rows(bench.contestants.map(({ name }) => name)),
    };
  },
};

async function takeSlope(
  { port, hops, programs, contestant }: Standing,
  { few, many, settleMs }: { readonly few: number; readonly many: number; readonly settleMs: number },
): Promise<Sample> {
  const pids = hops.map(({ pid }) => pid);
  const [first, second] = [forkLoad<HoldOptions, HoldResult>("hold"), forkLoad<HoldOptions, HoldResult>("hold")];
  const finish = async (load: typeof first) => (await load.end()).idle;
  try {
    const before = descriptors(pids);
    const half = Math.ceil(many / 2);
    await Promise.all([first.start({ port, connections: half }), second.start({ port, connections: many - half })]);
    await pause(settleMs);
    await Promise.all([finish(first), finish(second)]);
    await until(
      `${contestant.name} has closed the first wave`,
      programs,
      async () => descriptors(pids) <= before + leftOver,
    );
    await first.start({ port, connections: few });
    await pause(settleMs);
    const atFew = pids.map((pid) => memoryOf([pid]));
    await second.start({ port, connections: many - few });
    await pause(settleMs);
    const atMany = pids.map((pid) => memoryOf([pid]));
    await Promise.all([finish(first), finish(second)]);
    const sample: Record<string, number> = {};
    for (const [hop, low] of atFew.entries()) {
      const high = atMany[hop]!;
      sample[`hop${hop + 1}`] = (high.rss - low.rss) / (many - few);
      sample[`pss${hop + 1}`] = (high.pss - low.pss) / (many - few);
      sample[`base${hop + 1}`] = high.rss / 1024;
    }
    return sample;
  } finally {
    await Promise.all([first.close(), second.close()]);
  }
}

function descriptors(pids: readonly number[]): number {
  return pids.flatMap(withDescendants).reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0);
}
