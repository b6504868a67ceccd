import { type ReasonCode, reasons } from "../../src/base/reasons.js";
import { runClient } from "../harness/checked/client.js";
import { wrongLines } from "../harness/checked/wrong.js";
import type { Member } from "../harness/member.js";
import type { ProcessFigures } from "../harness/proc.js";
import type { SteadyClock } from "../harness/steady-clock.js";
import type { ClientTotals } from "./clients.js";
import { type Cluster, maxPipes } from "./cluster.js";
import type { Killing } from "./strike.js";

/** With all faults over, every name at every public proxy. Stated by what this run is to prove. */
export const servedWithinMs = 10_000;
/** Connections that lost their peers meet their limits (10 s), and a grown pool shrinks (two periods of 5 s). */
export const quietWithinMs = 60_000;
/** Both ends of each idle pipe, and some that come and go: a link, an admin request, a health check. */
export const descriptorSlack = 2 * maxPipes + 8;
/** What caches, compiled code and a heap that has not been collected may add to a process of 100 MiB. */
export const rssSlackMiB = 128;

export type Baseline = ReadonlyMap<string, ProcessFigures>;

export function takeBaseline(cluster: Cluster): Baseline {
  return new Map(cluster.members.map((each) => [each.name, each.figures()]));
}

/** Everybody runs, and answers. */
export async function allUp(cluster: Cluster, clock: SteadyClock): Promise<string[]> {
  const proxies = [...cluster.publics, ...cluster.privates];
  const up = await clock.within(60_000, async () => {
    const statuses = await Promise.all(proxies.map((each) => each.status()));
    return statuses.every((status) => status !== undefined) || proxies.some(({ died }) => died !== undefined);
  });
  const problems = cluster.members.flatMap(({ died }) => died ?? []);
  return up || problems.length > 0 ? problems : ["a proxy does not answer on its admin socket within 60 s"];
}

/** Asks for each name at each public proxy until it is served; resolves with what was not in time. */
export async function everyNameServed(cluster: Cluster, clock: SteadyClock, run: number): Promise<string[]> {
  const since = clock.now;
  let serial = 2 ** 31;
  const each = cluster.publics.flatMap(({ name: at, tlsPort: port }) =>
    cluster.names.map(async (name) => {
      for (let last = "nothing"; ; ) {
        const operation = { run, serial: serial++, kind: "transfer", up: 1000, down: 1000 } as const;
        const plan = { operation, port, name, padding: 0, pauseMs: 0, leave: undefined };
        const { outcome, alert, detail } = await runClient(plan, clock, servedWithinMs);
        if (clock.now - since > servedWithinMs) {
          const slow = `${name} at ${at} is not served within ${servedWithinMs / 1000} s of the last fault`;
          return outcome === "complete" && last === "nothing" ? [] : [`${slow}: ${last}, then ${outcome}`];
        }
        if (outcome === "complete") return [];
        last = `${outcome} ${alert ?? ""} ${detail}`.trim();
        await clock.pause(250);
      }
    }),
  );
  return (await Promise.all(each)).flat();
}

/** Waits until nothing is left of the clients; resolves with what still is. */
export async function everythingQuiet(cluster: Cluster, clock: SteadyClock, baseline?: Baseline): Promise<string[]> {
  let left: string[] = [];
  await clock.within(quietWithinMs, async () => {
    left = await whatIsLeft(cluster, baseline);
    return left.length === 0;
  });
  return left;
}

async function whatIsLeft(cluster: Cluster, baseline: Baseline | undefined): Promise<string[]> {
  const left: string[] = [];
  const expect = (name: string, what: string, found: unknown, wanted: unknown) => {
    if (found !== wanted) left.push(`${name}: ${what} ${found}, not ${wanted}`);
  };
  const parked = cluster.privates.reduce((sum, { poolFloor }) => sum + poolFloor, 0);
  for (const each of cluster.publics) {
    const status = await each.status();
    if (status === undefined) {
      left.push(`${each.name} does not answer`);
      continue;
    }
    expect(each.name, "live connections", status.connections.live, 0);
    expect(each.name, "attachments", status.attachments.length, cluster.privates.length);
    expect(each.name, "announcements", status.announcements.length, 2 * cluster.privates.length);
    expect(each.name, "parked dial-backs", status.pooledDialBacks, parked);
  }
  for (const each of cluster.privates) {
    const status = await each.status();
    if (status === undefined) {
      left.push(`${each.name} does not answer`);
      continue;
    }
    expect(each.name, "live connections", status.connections.live, 0);
    expect(each.name, "parked dial-backs", status.pooledDialBacks, each.poolFloor * cluster.publics.length);
    const queues = status.targets?.flatMap(({ queue }) => queue ?? []) ?? [];
    for (const { live, queued } of queues) {
      expect(each.name, "connections at the cap", live, 0);
      expect(each.name, "clients in the queue", queued, 0);
    }
    for (const { address, live, state } of status.targets?.flatMap(({ addresses }) => addresses) ?? []) {
      expect(each.name, `connections to ${address}`, live ?? 0, 0);
      if (state === "down") left.push(`${each.name}: ${address} is still down`);
    }
  }
  for (const [name, { descriptors }] of baseline ?? []) {
    const each = cluster.members.find((member) => member.name === name)!;
    const now = each.running ? each.figures().descriptors : 0;
    if (now > descriptors + descriptorSlack)
      left.push(`${name}: ${now} descriptors, at first ${descriptors} (slack ${descriptorSlack})`);
  }
  return left;
}

export function memoryFlat(cluster: Cluster, baseline: Baseline): string[] {
  return [...baseline].flatMap(([name, before]) => {
    const { rssMiB } = cluster.members.find((each) => each.name === name)!.figures();
    const bound = before.rssMiB + rssSlackMiB;
    return rssMiB <= bound
      ? []
      : [`${name}: ${rssMiB} MiB of memory, at first ${before.rssMiB} (slack ${rssSlackMiB} MiB)`];
  });
}

/** What logs and servers say of the whole run. */
export function judgeRecords(cluster: Cluster, totals: ClientTotals, killings: readonly Killing[]): string[] {
  const found = wrongLines(cluster.wrongFile);
  for (const member of [...cluster.publics, ...cluster.privates]) {
    const lines = member.logLines();
    for (const line of lines)
      if (line.fault !== undefined || line.reason === "internal")
        found.push(`${member.name} logged a fault: ${JSON.stringify(line)}`);
    if (member.role === "public") found.push(...refusedWithoutAWord(member, lines, totals, killings));
  }
  return found;
}

/** Who was refused for a reason that has an alert, and saw a reset instead. */
function refusedWithoutAWord(
  { name }: Member,
  lines: readonly Record<string, unknown>[],
  totals: ClientTotals,
  killings: readonly Killing[],
): string[] {
  const resets = totals.resets.filter(({ publicProxy }) => publicProxy === name);
  return lines.flatMap((line) => {
    const code = line.reason as ReasonCode;
    const at = line.time as number;
    if (line.client === undefined || !(code in reasons) || !("alert" in reasons[code])) return [];
    const client = resets.find(
      ({ localPort, startedAt, endedAt }) =>
        line.client === `127.0.0.1:${localPort}` && at >= startedAt - 1000 && at <= endedAt + 1000,
    );
    // Killed in the same moment: the alert may not have gone out.
    if (client === undefined || killings.some((killing) => killing.name === name && Math.abs(killing.at - at) < 2000))
      return [];
    return [`${name} refused port ${client.localPort} (${code}), and the client got a reset instead of an alert`];
  });
}
