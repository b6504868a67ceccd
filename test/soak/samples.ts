import type { Member } from "../harness/member.js";

/** What one process had at one moment. */
export interface Sample {
  readonly descriptors: number;
  readonly rssMiB: number;
  /** Of the main thread. */
  readonly heapMiB: number;
  readonly handles: number;
  readonly timers: number;
  /** What its status shows of its tables. */
  readonly live: number;
  readonly attachments: number;
  readonly announcements: number;
  readonly pooled: number;
  /** Ever opened. */
  readonly opened: number;
}

/** Throws where the process does not answer. */
export async function takeSample(member: Member): Promise<Sample> {
  const [status, metrics] = [await member.status(), await member.metrics()];
  if (status === undefined || metrics === undefined) throw new Error(`${member.name} does not answer`);
  const metric = (line: RegExp) => Number(line.exec(metrics)?.[1] ?? 0);
  const { descriptors, rssMiB } = member.figures();
  return {
    descriptors,
    rssMiB,
    heapMiB: Math.round(metric(/^nodejs_heap_size_used_bytes (\S+)/m) / 2 ** 20),
    handles: metric(/^nodejs_active_handles_total (\S+)/m),
    timers: metric(/^nodejs_active_resources\{type="Timeout"\} (\S+)/m),
    live: status.connections.live,
    attachments: status.attachments.length,
    announcements: status.announcements.length,
    pooled: status.pooledDialBacks,
    opened: status.connections.opened,
  };
}

/** What must come back, and by how much it may be more: an admin request that is being answered, an idle pipe, say. */
const slack: Partial<Record<keyof Sample, number>> = {
  descriptors: 24,
  handles: 4,
  timers: 4,
  live: 0,
  attachments: 0,
  announcements: 0,
  pooled: 0,
};

export const descriptorSlack = slack.descriptors!;

/** What has not come back to where it was. Nothing may be less, either, of what is neither a resource nor a connection. */
export function notBack(name: string, before: Sample, now: Sample): string[] {
  return (Object.keys(slack) as (keyof Sample)[]).flatMap((key) => {
    const more = now[key] - before[key];
    const isTable = key === "attachments" || key === "announcements" || key === "pooled";
    if (more <= slack[key]! && (more >= 0 || !isTable)) return [];
    return [`${name}: ${key} ${now[key]}, before the load ${before[key]} (slack ${slack[key]})`];
  });
}

/** What a heap that has not been collected and the system's own fragments may add after the first third. */
export const rssSlack = { mib: 32, share: 0.15 } as const;

/** Compares the middle third with the last: a leak goes on, a warm-up does not. */
export function growth(name: string, samples: readonly Sample[]): string[] {
  const third = Math.floor(samples.length / 3);
  if (third === 0) return [];
  const middle = median(samples.slice(third, 2 * third));
  const last = median(samples.slice(-third));
  const bound = middle * (1 + rssSlack.share) + rssSlack.mib;
  if (last <= bound) return [];
  return [
    `${name}: ${last} MiB in the last third, ${middle} MiB in the middle one; ${Math.round(bound)} MiB is the bound`,
  ];
}

function median(samples: readonly Sample[]): number {
  const sorted = samples.map(({ rssMiB }) => rssMiB).toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
