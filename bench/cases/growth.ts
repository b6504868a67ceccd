import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { messageOf } from "../../src/base/errors.js";
import { type OursPorts, ours } from "../contestants/ours.js";
import { cpuSecondsOfAll } from "../cpu.js";
import { rowsBuilder } from "../figures.js";
import type { AttachmentsOptions, AttachmentsResult } from "../load/attachments.js";
import { forkLoad } from "../load-process.js";
import { memoryOf } from "../memory.js";
import { rotated } from "../rounds.js";
import { type Bench, type Stage, type Standing, setUp } from "../stage.js";
import type { BenchCase } from "./case.js";
import { connectionFigures, forkConnections, takeConnections } from "./connections.js";
import { forkMessages, takeMessages } from "./messages.js";

interface Size {
  readonly names: number;
  readonly attachments: number;
}

const sizes: readonly Size[] = [
  { names: 1, attachments: 1 },
  { names: 1000, attachments: 100 },
  { names: 100_000, attachments: 1000 },
];

interface Crowded {
  readonly title: string;
  readonly stage: Stage;
  readonly standing: Standing;
  tearDown(): Promise<void>;
}

/** g: b and c over again in a crowd: private proxies that are attached, and names that are announced. Of ours only. */
export const growth: BenchCase = {
  letter: "g",
  async run(bench) {
    const builder = rowsBuilder();
    const [load, talk] = [forkConnections(), forkMessages()];
    const crowds: Crowded[] = [];
    try {
      // The first engine named is enough: what grows, or does not, is above them.
      for (const engine of bench.options.engines.slice(0, 1)) {
        // All at once: the round in which one is measured is the others' too.
        const wanted = bench.options.quick ? sizes.slice(0, 2) : sizes;
        crowds.push(...(await Promise.all(wanted.map((size) => gather(bench, engine, size)))));
      }
      for (let round = 0; round < bench.options.rounds; round++) {
        for (const { title, stage, standing } of rotated(crowds, round)) {
          const rest = await takeRest(standing, bench.options.quick ? 600 : 5500);
          const both = [
            { variant: "new connections", take: () => takeConnections(bench, stage, standing, load) },
            { variant: "small messages", take: () => takeMessages(bench, stage, standing, talk) },
          ];
          for (const { variant, take } of both) {
            try {
              // The first of each only warms up.
              if (round === 0) await take();
              const { sample, limit } = await take();
              builder.add(variant, title, { ...sample, ...rest }, limit);
            } catch (error) {
              builder.problem(variant, title, messageOf(error));
            }
          }
        }
      }
    } finally {
      await Promise.all([load.close(), talk.close()]);
      await Promise.all(crowds.map((crowded) => crowded.tearDown()));
    }
    return {
      letter: "g",
      title: "in a crowd",
      figures: [
        ...connectionFigures.map(({ key, title }) => (key === "rate" ? { key, title: "per second" } : { key, title })),
        { key: "rest1", title: "at rest, hop 1, % of a core" },
        { key: "memory1", title: "MiB, hop 1" },
      ],
      rows: builder.rows(crowds.map(({ title }) => title)),
    };
  },
};

/** A pair in which the one real private proxy serves one name, and the others everything else. */
async function gather(bench: Bench, engine: string, { names, attachments }: Size): Promise<Crowded> {
  let ports: OursPorts | undefined;
  const grants = [{ identity: "crowd", names: ["**.crowd.example.com"] }];
  const pair = ours({ engine, grants }, (told) => {
    ports = told;
  });
  const stage = await setUp(bench, [pair]);
  const standing = stage.standing[0];
  if (standing === undefined || ports === undefined)
    throw new Error(stage.failed[0]?.problem ?? "the pair did not start");
  const crowd = forkLoad<AttachmentsOptions, AttachmentsResult>("attachments");
  await crowd.start({
    meshPort: ports.mesh,
    certificate: join(bench.certificates, "crowd.crt"),
    key: join(bench.certificates, "crowd.key"),
    ca: join(bench.certificates, "root.crt"),
    attachments: attachments - 1,
    names: names - 1,
  });
  return {
    title: `${pair.name}, names: ${names}, private proxies: ${attachments}`,
    stage,
    standing,
    async tearDown() {
      await crowd.close();
      await stage.tearDown();
    },
  };
}

/** What the crowd alone costs: keepalives. */
async function takeRest({ hops }: Standing, windowMs: number): Promise<{ rest1: number; memory1: number }> {
  const pids = [hops[0]!.pid];
  const before = cpuSecondsOfAll(pids);
  await pause(windowMs);
  const used = cpuSecondsOfAll(pids) - before;
  return { rest1: (used / (windowMs / 1000)) * 100, memory1: memoryOf(pids).rss / 1024 };
}
