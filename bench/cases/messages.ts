import type { MessagesOptions, MessagesResult } from "../load/messages.js";
import { forkLoad, type LoadProcess } from "../load-process.js";
import { measure } from "../measure.js";
import { inRounds, type Taken } from "../rounds.js";
import { type Bench, type Stage, type Standing, setUp } from "../stage.js";
import { percentile } from "../statistics.js";
import { type BenchCase, mustHaveWorked, ownShare, ownShareFigures, perThing } from "./case.js";

const openConnections = 64;

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
    try {
      const rows = await inRounds(bench, stage, [{ name: `on ${openConnections} connections` }], (standing) =>
        takeMessages(bench, stage, standing, load),
      );
      return { letter: "c", title: "small messages", figures: messageFigures, rows };
    } finally {
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
