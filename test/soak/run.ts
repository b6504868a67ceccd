import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serverName, type TestCertificates } from "../harness/certificates.js";
import { runClient } from "../harness/checked/client.js";
import { wrongLines } from "../harness/checked/wrong.js";
import { type Member, proxyMember, serverMember } from "../harness/member.js";
import { freePorts } from "../harness/processes.js";
import { type SteadyClock, startSteadyClock } from "../harness/steady-clock.js";
import { drawSoak, type Series } from "./chart.js";
import { type Load, startLoad } from "./load.js";
import { descriptorSlack, growth, notBack, takeSample } from "./samples.js";

export interface SoakOptions {
  readonly engine: "epoll" | "node";
  readonly seconds: number;
  readonly seed: number;
  readonly certificates: TestCertificates;
  /** For chart and figures. */
  readonly resultsDir: string;
  readonly say: (line: string) => void;
}

export interface SoakReport {
  readonly connections: number;
  readonly violations: readonly string[];
  readonly chart: string;
  readonly figures: string;
}

const sampleEveryMs = 10_000;
/** At least so many samples, however short the run. */
const leastSamples = 9;
/** A pool that has grown shrinks by half of what nobody used every 5 s. */
const quietWithinMs = 90_000;
const warmUpMs = 3000;
const longestTalkMs = 50_000;
const pool = { minIdle: 2, maxIdle: 8, max: 16 };

/** One engine under load for `seconds`, then idle, then judged. Throws where the pair does not come up. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const { engine, seconds, seed, certificates, say } = options;
  const dir = mkdtempSync(join(tmpdir(), `proxy-soak-${engine}-`));
  const wrongFile = join(dir, "wrong");
  const clock = startSteadyClock();
  const { members, publicProxy, privateProxy, port } = await pairOf(engine, certificates, { dir, wrongFile });
  const series: Series[] = [];
  const violations: string[] = [];
  try {
    for (const each of members) await each.start();
    await served(port, clock, seed, members);
    // What the first connections bring about (code that is compiled, pools, pipes) belongs to the baseline.
    const warmUp = startLoad({ port, name: serverName, seed: (seed ^ 0x5ca1ab1e) >>> 0, clock, longestMs: warmUpMs });
    await clock.pause(warmUpMs);
    await warmUp.stop();
    violations.push(...warmUp.violations);
    await idle();
    const before = await sampleBoth();

    const longestMs = Math.min(longestTalkMs, (seconds * 1000) / 4);
    const load = startLoad({ port, name: serverName, seed, clock, longestMs });
    const begunAt = performance.now();
    say(`${engine}: ${head}`);
    const everyMs = Math.min(sampleEveryMs, (seconds * 1000) / leastSamples);
    for (let next = everyMs; next <= seconds * 1000; next += everyMs) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - (performance.now() - begunAt))));
      const at = (performance.now() - begunAt) / 1000;
      series.push({ at, ...(await sampleBoth()) });
      say(line(`${Math.round(at)} s`, series.at(-1)!, load));
    }
    await load.stop();
    violations.push(...load.violations);

    let left: string[] = [];
    let after = await sampleBoth();
    await clock.within(quietWithinMs, async () => {
      after = await sampleBoth();
      left = [
        ...notBack("public proxy", before.public, after.public),
        ...notBack("private proxy", before.private, after.private),
      ];
      return left.length === 0;
    });
    violations.push(...left);
    for (const role of ["public", "private"] as const)
      violations.push(
        ...growth(
          `${role} proxy`,
          [...series, { at: 0, ...after }].map((one) => one[role]),
        ),
      );
    say(line("before", { at: 0, ...before }));
    say(line("after", { at: 0, ...after }));
    const ended = [...load.outcomes].map(([what, count]) => `${what} ${count}`).toSorted();
    const rate = Math.round(load.connections / seconds);
    say(
      `${engine}: ${load.connections} connections, ${rate} a second, ${Math.round(load.bytes / 1e6)} MB; ${ended.join(", ")}`,
    );
    for (const each of [privateProxy, publicProxy]) {
      const how = await each.stop(clock);
      if (how !== "status 0") violations.push(`${each.name}: SIGTERM ended it with ${how}`);
    }
    violations.push(...faultsIn(members, wrongFile));
    return { connections: load.connections, violations, ...write(before, after, load) };
  } finally {
    clock.stop();
    for (const each of members) await each.kill();
    if (violations.length === 0) rmSync(dir, { recursive: true });
    else say(`settings and logs are in ${dir}`);
  }

  async function sampleBoth() {
    return { public: await takeSample(publicProxy), private: await takeSample(privateProxy) };
  }

  async function idle(): Promise<void> {
    const floor = pool.minIdle;
    const isIdle = await clock.within(quietWithinMs, async () => {
      const both = await sampleBoth();
      return [both.public, both.private].every(({ live, pooled }) => live === 0 && pooled === floor);
    });
    if (!isIdle) violations.push("after the warm-up not everything came to rest");
  }

  function write(before: object, after: object, load: Load) {
    mkdirSync(options.resultsDir, { recursive: true });
    const chart = join(options.resultsDir, `soak-${engine}.svg`);
    const figures = join(options.resultsDir, `soak-${engine}.json`);
    const { connections, bytes } = load;
    writeFileSync(chart, drawSoak(series, `make soak, ${engine} engine, ${connections} connections`));
    const all = { engine, seconds, seed, connections, bytes, outcomes: Object.fromEntries(load.outcomes), violations };
    writeFileSync(figures, `${JSON.stringify({ ...all, before, after, series }, undefined, 1)}\n`);
    return { chart, figures };
  }
}

async function pairOf(
  engine: "epoll" | "node",
  certificates: TestCertificates,
  { dir, wrongFile }: { dir: string; wrongFile: string },
) {
  const [port, mesh, rendezvous, target] = await freePorts(4);
  // Each idle pipe of the engine is two descriptors: with so few the baseline holds.
  const transport = { engine, workers: 2, maxPipes: descriptorSlack / 4 };
  const publicProxy = proxyMember({
    name: "public",
    role: "public",
    dir,
    logConnections: false,
    settings: {
      tls: { listen: `127.0.0.1:${port}` },
      // Nobody is refused because the machine is busy: here whoever is not served counts as a fault.
      rendezvous: { listen: `127.0.0.1:${rendezvous}`, attemptTimeoutMs: 30_000, deadlineMs: 45_000 },
      mesh: { listen: `127.0.0.1:${mesh}`, ...certificates.files("public-proxy-1") },
      grants: [{ identity: "private-proxy-1", names: [serverName] }],
      transport,
    },
  });
  const privateProxy = proxyMember({
    name: "private",
    role: "private",
    dir,
    logConnections: false,
    settings: {
      mesh: { publics: [`127.0.0.1:${mesh}`], ...certificates.files("private-proxy-1") },
      targets: [{ names: [serverName], address: `127.0.0.1:${target}`, connectTimeoutMs: 20_000 }],
      pool,
      transport,
    },
  });
  const { certificate, key } = certificates.files("internal-server");
  const server = serverMember({ name: "server", port: target!, certificate, key, wrongFile });
  return { members: [server, publicProxy, privateProxy], publicProxy, privateProxy, port: port! };
}

/** Resolves when the first client has been served. */
async function served(port: number, clock: SteadyClock, run: number, members: readonly Member[]): Promise<void> {
  let serial = 2 ** 31;
  const up = await clock.within(60_000, async () => {
    const operation = { run, serial: serial++, kind: "transfer", up: 1, down: 1 } as const;
    const plan = { operation, port, name: serverName, padding: 0, pauseMs: 0, leave: undefined };
    return (await runClient(plan, clock, 20_000)).outcome === "complete";
  });
  if (!up) throw new Error(members.flatMap(({ died }) => died ?? []).join("\n") || "nobody is served within 60 s");
}

function faultsIn(members: readonly Member[], wrongFile: string): string[] {
  const logged = members
    .flatMap((each) => each.logLines())
    .filter(({ fault, reason }) => fault !== undefined || reason === "internal");
  return [...wrongLines(wrongFile), ...logged.map((line) => `a fault was logged: ${JSON.stringify(line)}`)];
}

const columns = ["connections", "live", "fds", "MiB", "heap", "handles", "timers", "pooled"];
const head = `${"".padEnd(8)}${columns.map((name) => name.padStart(12)).join("")}   (public/private)`;

function line(when: string, { public: a, private: b }: Series, load?: Load): string {
  const pair = (of: (sample: typeof a) => number) => `${of(a)}/${of(b)}`.padStart(12);
  return (
    when.padEnd(8) +
    String(load?.connections ?? "").padStart(12) +
    [
      pair(({ live }) => live),
      pair(({ descriptors }) => descriptors),
      pair(({ rssMiB }) => rssMiB),
      pair(({ heapMiB }) => heapMiB),
      pair(({ handles }) => handles),
      pair(({ timers }) => timers),
      pair(({ pooled }) => pooled),
    ].join("")
  );
}
