import { readdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { messageOf } from "../../src/base/errors.js";
import { withDescendants } from "../cpu.js";
import { rowsBuilder, type Sample } from "../figures.js";
import type { HoldOptions, HoldResult } from "../load/hold.js";
import { forkLoad } from "../load-process.js";
import { memoryOf } from "../memory.js";
import { rotated } from "../rounds.js";
import { type Standing, setUp } from "../stage.js";
import type { BenchCase } from "./case.js";

/** How long a contestant may take to close what its clients have closed. */
const closingMs = 2000;

/**
 * d: what silent connections take, as the slope of RSS between few and many; in a first wave, and in a second one, for
 * which the process may use again what the first has left it.
 */
export const idle: BenchCase = {
  letter: "d",
  async run(bench) {
    const { quick } = bench.options;
    const { few, many } = quick ? { few: 250, many: 1500 } : { few: 1000, many: 8000 };
    const variant = `${few} to ${many} connections`;
    const settleMs = quick ? 200 : 1000;
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
            builder.add(variant, contestant.name, await takeSlopes(standing, { few, many, settleMs }), "waiting");
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
        { key: "first1", title: "KiB each, first wave, hop 1" },
        { key: "first2", title: "KiB each, first wave, hop 2" },
        { key: "hop1", title: "KiB each, second wave, hop 1" },
        { key: "hop2", title: "KiB each, second wave, hop 2" },
        { key: "base1", title: "MiB in all, hop 1" },
        { key: "base2", title: "MiB in all, hop 2" },
        { key: "left", title: "descriptors left open" },
      ],
      rows: builder.rows(bench.contestants.map(({ name }) => name)),
    };
  },
};

interface Wave {
  readonly port: number;
  readonly pids: readonly number[];
  readonly few: number;
  readonly many: number;
  readonly settleMs: number;
}

async function takeSlopes({ port, hops }: Standing, size: Omit<Wave, "port" | "pids">): Promise<Sample> {
  const pids = hops.map(({ pid }) => pid);
  const loads = [forkHold(), forkHold()] as const;
  const wave: Wave = { port, pids, ...size };
  try {
    // What the first connections ever load and compile is no connection's.
    await loads[0].start({ port, connections: size.few });
    await closeAll(loads.slice(0, 1));
    const before = descriptors(pids);
    const first = await takeWave(loads, wave);
    const left = await leftAfter(pids, before, closingMs);
    const second = await takeWave(loads, wave);
    const sample: Record<string, number> = { left };
    for (const hop of pids.keys()) {
      sample[`hop${hop + 1}`] = second[hop]!.rss;
      sample[`pss${hop + 1}`] = second[hop]!.pss;
      sample[`first${hop + 1}`] = first[hop]!.rss;
      sample[`base${hop + 1}`] = second[hop]!.most / 1024;
    }
    return sample;
  } finally {
    await Promise.all(loads.map((load) => load.close()));
  }
}

/** Opens few, then many, and closes them. Resolves with KiB per connection between the two, and the most there was. */
async function takeWave(loads: readonly [Hold, Hold], { port, pids, few, many, settleMs }: Wave) {
  const read = async () => {
    await pause(settleMs);
    return pids.map((pid) => memoryOf([pid]));
  };
  await loads[0].start({ port, connections: few });
  const low = await read();
  await loads[1].start({ port, connections: many - few });
  const high = await read();
  await closeAll(loads);
  return high.map(({ rss, pss }, hop) => ({
    rss: (rss - low[hop]!.rss) / (many - few),
    pss: (pss - low[hop]!.pss) / (many - few),
    most: rss,
  }));
}

type Hold = ReturnType<typeof forkHold>;

function forkHold() {
  return forkLoad<HoldOptions, HoldResult>("hold");
}

async function closeAll(loads: readonly Hold[]): Promise<void> {
  for (const load of loads) await (await load.end()).idle;
}

/** How many descriptors more than before are open, when they are as few as before or time is up. */
async function leftAfter(pids: readonly number[], before: number, patienceMs: number): Promise<number> {
  const giveUpAt = performance.now() + patienceMs;
  for (;;) {
    const left = Math.max(0, descriptors(pids) - before);
    if (left === 0 || performance.now() > giveUpAt) return left;
    await pause(50);
  }
}

function descriptors(pids: readonly number[]): number {
  return pids.flatMap(withDescendants).reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0);
}
