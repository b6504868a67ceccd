import type { BulkOptions, BulkResult } from "../load/bulk.js";
import type { MessagesOptions, MessagesResult } from "../load/messages.js";
import { forkLoad, type LoadProcess } from "../load-process.js";
import { measure } from "../measure.js";
import { inRounds, type Taken } from "../rounds.js";
import { type Bench, type Stage, type Standing, setUp } from "../stage.js";
import { percentile } from "../statistics.js";
import { type BenchCase, mustHaveWorked, ownShare, ownShareFigures, perThing } from "./case.js";

const openConnections = 64;
/** Beside a stream that takes all it can get: who is made to wait for it? */
const crowd = 1000;
/** Those whose answer is of interest, for the run is long enough. */
const besideBulk = /^(direct|ours|plain hop|haproxy)/;

export const messageFigures = [
  { key: "rate", title: "messages/s" },
  { key: "hop1", title: "CPU-us each, hop 1" },
  { key: "hop2", title: "CPU-us each, hop 2" },
  { key: "p50", title: "p50, ms" },
  { key: "p99", title: "p99, ms" },
  ...ownShareFigures,
];

/** c: 200 B out and 200 B back, on connections that stay open. */
export const messages: BenchCase = {
  letter: "c",
  async run(bench) {
    const stage = await setUp(bench, bench.contestants);
    const load = forkMessages();
    const bulk = forkLoad<BulkOptions, BulkResult>("bulk");
    try {
      const alone = await inRounds(bench, stage, [{ name: `on ${openConnections} connections` }], (standing) =>
        takeMessages(bench, stage, standing, load),
      );
      const standing = stage.standing.filter(({ contestant }) => besideBulk.test(contestant.name));
      const beside = await inRounds(
        bench,
        { ...stage, standing, failed: [] },
        [{ name: `on ${crowd} connections, beside a bulk stream` }],
        (one) => takeBesideBulk(bench, stage, one, load, bulk),
      );
      const shown = new Set(standing.map(({ contestant }) => contestant.name));
      const rows = [...alone, ...beside.filter(({ contestant }) => shown.has(contestant))];
      return { letter: "c", title: "small messages", figures: messageFigures, rows };
    } finally {
      await bulk.close();
      await load.close();
      await stage.tearDown();
    }
  },
};

export function forkMessages(): LoadProcess<MessagesOptions, MessagesResult> {
  return forkLoad("messages");
}

export async function takeMessages(
  { options: { windowMs, warmUpMs } }: Bench,
  stage: Stage,
  { port, ...standing }: Standing,
  load: LoadProcess<MessagesOptions, MessagesResult>,
): Promise<Taken> {
  const options = { port, connections: openConnections, warmUpMs };
  const measured = await measure(stage, { port, ...standing }, load, options, windowMs);
  const { answered, failed, roundTripMs } = measured.result;
  mustHaveWorked(answered, failed);
  const sample = {
    rate: answered / measured.seconds,
    ...perThing(measured.cpu, answered),
    p50: percentile(roundTripMs, 0.5),
    p99: percentile(roundTripMs, 0.99),
    ...ownShare(measured),
  };
  return { sample, limit: measured.limit };
}

/** The CPU is not told: it is the bulk stream's, for the most part. */
async function takeBesideBulk(
  bench: Bench,
  stage: Stage,
  standing: Standing,
  load: LoadProcess<MessagesOptions, MessagesResult>,
  bulk: LoadProcess<BulkOptions, BulkResult>,
): Promise<Taken> {
  const { windowMs, warmUpMs } = bench.options;
  const { port } = standing;
  await bulk.start({ port, streams: 1, direction: "down", warmUpMs });
  await bulk.begin();
  try {
    const measured = await measure(stage, standing, load, { port, connections: crowd, warmUpMs }, windowMs);
    const { answered, failed, roundTripMs } = measured.result;
    mustHaveWorked(answered, failed);
    const sample = {
      rate: answered / measured.seconds,
      p50: percentile(roundTripMs, 0.5),
      p99: percentile(roundTripMs, 0.99),
      ...ownShare(measured),
    };
    return { sample, limit: measured.limit };
  } finally {
    await (await bulk.end()).idle;
  }
}
