import { join } from "node:path";
import type { HttpsOptions, HttpsResult } from "../load/https.js";
import { forkLoad } from "../load-process.js";
import { measure } from "../measure.js";
import { inRounds } from "../rounds.js";
import { setUp } from "../stage.js";
import { percentile } from "../statistics.js";
import { type BenchCase, mustHaveWorked, ownShare, ownShareFigures, perThing } from "./case.js";

const concurrency = 16;
const requestsPerConnection = 10;

/** f: HTTPS as clients use it. TLS in the clients and the server is most of the work, and the same for all. */
export const tls: BenchCase = {
  letter: "f",
  async run(bench) {
    const { windowMs, warmUpMs } = bench.options;
    const stage = await setUp(bench, bench.contestants);
    const load = forkLoad<HttpsOptions, HttpsResult>("https");
    const ca = join(bench.certificates, "root.crt");
    const variant = { name: `${concurrency} clients, ${requestsPerConnection} requests a connection` };
    try {
      const rows = await inRounds(bench, stage, [variant], async (standing) => {
        const options = { port: standing.port, ca, concurrency, requestsPerConnection, warmUpMs };
        const measured = await measure(stage, standing, load, options, windowMs);
        const { answered, failed, requestMs } = measured.result;
        mustHaveWorked(answered, failed);
        const sample = {
          rate: answered / measured.seconds,
          ...perThing(measured.cpu, answered),
          p50: percentile(requestMs, 0.5),
          p99: percentile(requestMs, 0.99),
          ...ownShare(measured),
        };
        return { sample, limit: measured.limit };
      });
      return {
        letter: "f",
        title: "HTTPS requests",
        figures: [
          { key: "rate", title: "requests/s" },
          { key: "hop1", title: "CPU-us each, hop 1" },
          { key: "hop2", title: "CPU-us each, hop 2" },
          { key: "p50", title: "p50, ms" },
          { key: "p99", title: "p99, ms" },
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
