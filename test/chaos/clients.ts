import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { seededRandom } from "../fuzz/random.js";
import { type ClientPlan, type ClientReport, type Outcome, runClient } from "../harness/checked/client.js";
import { messageBytes } from "../harness/checked/operation.js";
import { runTlsClient } from "../harness/checked/tls-client.js";
import type { SteadyClock } from "../harness/steady-clock.js";
import type { Cluster } from "./cluster.js";

/**
 * A connection on which nothing moves for so long counts as left hanging. Twice and more of what the settings let a client
 * wait (23 s, see cluster.ts) and a stopped process adds (4 s). On the steady clock.
 */
export const silenceMs = 60_000;

/** A name that no grant covers. */
const unknownName = "nobody.elsewhere.example";
const unrecognizedName = 112;
/** Alerts that a good hello may meet: no name, nobody answered, and too slow (the proxy was stopped). */
const fairAlerts = [unrecognizedName, 80, 40];
const restMs = 100;

export interface ClientTotals {
  readonly operations: number;
  readonly outcomes: ReadonlyMap<string, number>;
  readonly bytes: number;
  readonly violations: readonly string[];
  /** Those that ended by a reset without a byte, for the logs to say whether they were refused. */
  readonly resets: readonly (ClientReport & { readonly publicProxy: string })[];
}

/** Clients that come one after another, `atOnce` at a time; what each does follows from the seed and its number. */
export interface Clients {
  readonly totals: ClientTotals;
  /** No new ones. Resolves when the last has ended. */
  stop(): Promise<void>;
}

export function startClients(options: {
  readonly cluster: Cluster;
  readonly clock: SteadyClock;
  readonly seed: number;
  readonly ca: Buffer;
  readonly atOnce: number;
  /** Ends by itself after so many. */
  readonly operations?: number;
}): Clients & { readonly done: Promise<void> } {
  const { cluster, clock, seed, ca, atOnce, operations = Number.POSITIVE_INFINITY } = options;
  const outcomes = new Map<string, number>();
  const violations: string[] = [];
  const resets: (ClientReport & { readonly publicProxy: string })[] = [];
  let serial = 0;
  let bytes = 0;
  let stopping = false;

  function count(what: string, outcome: Outcome): void {
    const key = `${what}: ${outcome}`;
    outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
  }

  async function one(number: number): Promise<boolean> {
    const random = seededRandom(seed ^ Math.imul(number + 1, 0x9e3779b1));
    const to = random.pick(cluster.publics);
    const what = random.below(100);
    if (what < 3) return notTls(to.tlsPort);
    const name = random.pick(cluster.names);
    if (what < 6) {
      const key = `tls:${seed}:${number}`;
      const { outcome, detail } = await runTlsClient(
        { port: to.tlsPort, name, ca, key, bytes: 1 + random.below(48 * 1024) },
        clock,
        silenceMs,
      );
      return note("TLS", outcome, `${name} at ${to.name}, ${detail}`);
    }
    /** As many small ones as large ones, on a scale of powers of two. */
    const size = (most: number) => random.below(2 ** random.below(most + 1));
    const operation = { run: seed, serial: number, up: size(20), down: size(20) };
    const common = { port: to.tlsPort, name, padding: size(13), pauseMs: 200 + random.below(1500), leave: undefined };
    let plan: ClientPlan;
    let kind: string;
    if (what < 10) {
      kind = "name that nobody has";
      plan = { ...common, name: unknownName, operation: { ...operation, kind: "transfer" } };
    } else if (what < 28) {
      kind = "leaves early";
      const leave = { afterMs: size(10), how: random.pick(["reset", "close", "end"] as const) };
      plan = { ...common, operation: { ...operation, kind: "transfer" }, leave };
    } else if (what < 34) {
      kind = "server leaves";
      plan = { ...common, operation: { ...operation, down: 2 + operation.down, kind: "serverLeaves" } };
    } else if (what < 44) {
      kind = "talk";
      const messages = (1 + random.below(12)) * messageBytes;
      plan = { ...common, operation: { ...operation, up: messages, down: messages, kind: "talk" } };
    } else {
      kind = "transfer";
      // Now and then one that takes the engine's way for bulk.
      const bulk = random.below(30) === 0 ? 4 * 1024 * 1024 : 0;
      plan = {
        ...common,
        operation: { ...operation, up: operation.up + bulk, down: operation.down + bulk, kind: "transfer" },
      };
    }
    const report = await runClient(plan, clock, silenceMs);
    bytes += report.bytes;
    const { outcome, alert, detail, localPort } = report;
    if (outcome === "reset") resets.push({ ...report, publicProxy: to.name });
    const about = `${kind}, number ${number}, ${plan.name} at ${to.name} from port ${localPort}: ${detail}`;
    if (alert !== undefined && !fairAlerts.includes(alert))
      violations.push(`a good hello was told alert ${alert}; ${about}`);
    if (kind === "name that nobody has" && bytesCameFor(outcome)) violations.push(`served all the same: ${about}`);
    return note(kind, outcome, about);
  }

  function note(kind: string, outcome: Outcome, about: string): boolean {
    count(kind, outcome);
    if (outcome === "hung") violations.push(`left hanging: ${about}`);
    if (outcome === "lied") violations.push(`corrupted: ${about}`);
    return outcome === "complete" || outcome === "left";
  }

  /** Is closed without a word. */
  function notTls(port: number): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect({ port, host: "127.0.0.1" });
      const since = clock.now;
      let got = 0;
      const stopWatching = clock.onTick(() => {
        if (clock.now - since > silenceMs) socket.destroy(new Error("hung"));
      });
      let outcome: Outcome = "closed";
      socket.on("data", (chunk: Buffer) => {
        got += chunk.length;
      });
      socket.on("error", ({ message }) => {
        outcome = message === "hung" ? "hung" : "reset";
      });
      socket.once("close", () => {
        stopWatching();
        if (got > 0) outcome = "lied";
        resolve(note("not TLS", outcome, `${got} bytes came`));
      });
      socket.write("SSH-2.0-chaos\r\n");
    });
  }

  async function inTurn(): Promise<void> {
    while (!stopping && serial < operations) if (!(await one(serial++))) await pause(restMs);
  }
  const done = Promise.all(Array.from({ length: atOnce }, inTurn)).then(() => {});

  return {
    get totals() {
      return { operations: serial, outcomes, bytes, violations, resets };
    },
    done,
    async stop() {
      stopping = true;
      await done;
    },
  };
}

function bytesCameFor(outcome: Outcome): boolean {
  return ["complete", "endedEarly", "brokeOff"].includes(outcome);
}
