import { rmSync } from "node:fs";
import type { TestCertificates } from "../harness/certificates.js";
import { startSteadyClock } from "../harness/steady-clock.js";
import { type ClientTotals, startClients } from "./clients.js";
import { createCluster } from "./cluster.js";
import {
  allUp,
  type Baseline,
  everyNameServed,
  everythingQuiet,
  judgeRecords,
  memoryFlat,
  takeBaseline,
} from "./judge.js";
import { type FaultKind, planFaults } from "./plan.js";
import { type Killing, strike } from "./strike.js";

export interface ChaosOptions {
  readonly engine: "epoll" | "node";
  readonly seconds: number;
  readonly seed: number;
  readonly certificates: TestCertificates;
  readonly say: (line: string) => void;
}

export interface ChaosReport {
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly totals: ClientTotals;
  readonly before: Baseline;
  readonly after: Baseline;
  /** Accepting paused for want of descriptors. */
  readonly starved: number;
  readonly violations: readonly string[];
  /** Settings and logs of everybody; kept only where something was violated. */
  readonly dir: string;
}

const clientsAtOnce = 24;
/** Without a fault everybody must be served as planned. */
const calmOperations = 60;
const calmEnds = [
  ...["transfer: complete", "talk: complete", "TLS: complete", "leaves early: left", "leaves early: complete"],
  // A reset overtakes what was sent before it, and Node tells one that comes after this side's own FIN as an end in order.
  ...["brokeOff", "endedEarly", "reset", "closed"].map((outcome) => `server leaves: ${outcome}`),
  ...["name that nobody has: alert", "not TLS: closed", "not TLS: reset"],
];

/** One run: calm, then faults, then peace, then judgement. Throws only where nothing could be begun. */
export async function runChaos({ engine, seconds, seed, certificates, say }: ChaosOptions): Promise<ChaosReport> {
  const cluster = await createCluster(engine, certificates);
  const clock = startSteadyClock();
  const violations: string[] = [];
  const killings: Killing[] = [];
  const faults = new Map<FaultKind, number>();
  const ca = certificates.ca;
  let before: Baseline = new Map();
  let after: Baseline = new Map();
  try {
    await cluster.start();
    violations.push(...(await allUp(cluster, clock)), ...(await everyNameServed(cluster, clock, seed)));
    const first = startClients({
      cluster,
      clock,
      seed: (seed ^ 0x5ca1ab1e) >>> 0,
      ca,
      atOnce: 8,
      operations: calmOperations,
    });
    await first.done;
    for (const [what, count] of first.totals.outcomes)
      if (!calmEnds.includes(what)) violations.push(`before the first fault: ${what} (${count})`);
    violations.push(...first.totals.violations, ...(await everythingQuiet(cluster, clock)));
    before = takeBaseline(cluster);
    if (violations.length > 0) throw new Error("not even without faults");

    say(`${engine}: ${seconds} s of faults`);
    const clients = startClients({ cluster, clock, seed, ca, atOnce: clientsAtOnce });
    const plan = planFaults({ seed, ms: seconds * 1000, victims: cluster.members.length, links: cluster.links.length });
    const begun = performance.now();
    await Promise.all(
      plan.map(async (fault) => {
        await new Promise((resolve) => setTimeout(resolve, fault.at - (performance.now() - begun)));
        faults.set(fault.what, (faults.get(fault.what) ?? 0) + 1);
        await strike(fault, cluster, killings);
      }),
    );

    say(`${engine}: peace; everything must come back`);
    violations.push(...(await allUp(cluster, clock)), ...(await everyNameServed(cluster, clock, (seed ^ 1) >>> 0)));
    await clients.stop();
    violations.push(...clients.totals.violations, ...(await everythingQuiet(cluster, clock, before)));
    after = takeBaseline(cluster);
    violations.push(...memoryFlat(cluster, before));
    for (const each of [...cluster.publics, ...cluster.privates]) {
      const how = await each.stop(clock);
      if (how !== "status 0") violations.push(`${each.name}: SIGTERM ended it with ${how}`);
    }
    violations.push(...judgeRecords(cluster, clients.totals, killings));
    return { faults, totals: clients.totals, before, after, starved: starvedTimes(), violations, dir: cluster.dir };
  } catch (error) {
    violations.push(String(error));
    const totals = { operations: 0, outcomes: new Map(), bytes: 0, violations: [], resets: [] };
    return { faults, totals, before, after, starved: starvedTimes(), violations, dir: cluster.dir };
  } finally {
    clock.stop();
    await cluster.close();
    if (violations.length === 0) rmSync(cluster.dir, { recursive: true });
  }

  function starvedTimes(): number {
    return cluster.publics.flatMap((each) => each.logLines()).filter(({ msg }) => msg === "accepting paused").length;
  }
}
