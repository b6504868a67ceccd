import { setTimeout as pause } from "node:timers/promises";
import { seededRandom } from "../fuzz/random.js";
import { type ClientPlan, type Outcome, runClient } from "../harness/checked/client.js";
import { messageBytes } from "../harness/checked/operation.js";
import type { SteadyClock } from "../harness/steady-clock.js";

/** Longer than every limit of the proxies here; on the steady clock. */
const silenceMs = 60_000;
/** Short ones, one after another; the machine decides how many that makes. */
const shortAtOnce = 32;
/** Those that stay for a while: a message now and then; and those that carry much. */
const talksAtOnce = 60;
const bulksAtOnce = 2;
const mostMessages = 11;
const restMs = 250;

export interface Load {
  readonly connections: number;
  readonly bytes: number;
  readonly outcomes: ReadonlyMap<string, number>;
  readonly violations: readonly string[];
  stop(): Promise<void>;
}

/** Short and long connections mixed, every byte checked, until it is stopped; some leave early. */
export function startLoad(options: {
  readonly port: number;
  readonly name: string;
  readonly seed: number;
  readonly clock: SteadyClock;
  /** Those that stay are gone after so long. */
  readonly longestMs: number;
}): Load {
  const { port, name, seed, clock, longestMs } = options;
  const outcomes = new Map<string, number>();
  const violations: string[] = [];
  let serial = 0;
  let ended = 0;
  let bytes = 0;
  let stopping = false;

  async function one(kind: "short" | "talk" | "bulk"): Promise<void> {
    const number = serial++;
    const random = seededRandom(seed ^ Math.imul(number + 1, 0x9e3779b1));
    const leaves = kind === "short" && random.below(25) === 0;
    const common = { port, name, padding: 180, pauseMs: 0, leave: undefined };
    const of = { run: seed, serial: number };
    let plan: ClientPlan;
    if (kind === "short") {
      const leave = { afterMs: random.below(10), how: random.pick(["reset", "close", "end"] as const) };
      const [up, down] = [random.below(1024), 1024];
      plan = { ...common, operation: { ...of, kind: "transfer", up, down }, leave: leaves ? leave : undefined };
    } else if (kind === "talk") {
      const messages = 2 + random.below(mostMessages - 1);
      const each = messages * messageBytes;
      const pauseMs = 1 + random.below(Math.ceil(longestMs / mostMessages));
      plan = { ...common, pauseMs, operation: { ...of, kind: "talk", up: each, down: each } };
    } else {
      const [up, down] = [random.below(2 ** 22), random.below(2 ** 24)];
      plan = { ...common, operation: { ...of, kind: "transfer", up, down } };
    }
    const report = await runClient(plan, clock, silenceMs);
    ended++;
    bytes += report.bytes;
    const key = `${kind}${leaves ? " that leaves" : ""}: ${report.outcome}`;
    outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
    const fair: readonly Outcome[] = leaves ? ["left", "complete"] : ["complete"];
    if (fair.includes(report.outcome)) return;
    violations.push(`${key}: number ${number}, ${report.alert ?? ""} ${report.detail}`);
    await pause(restMs);
  }

  async function inTurn(kind: "short" | "talk" | "bulk"): Promise<void> {
    while (!stopping) await one(kind);
  }
  const crew = [
    ...Array.from({ length: shortAtOnce }, () => inTurn("short")),
    ...Array.from({ length: talksAtOnce }, () => inTurn("talk")),
    ...Array.from({ length: bulksAtOnce }, async () => {
      while (!stopping) {
        await one("bulk");
        await pause(restMs);
      }
    }),
  ];
  return {
    get connections() {
      return ended;
    },
    get bytes() {
      return bytes;
    },
    outcomes,
    violations,
    async stop() {
      stopping = true;
      await Promise.all(crew);
    },
  };
}
