import { mkdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { messageOf } from "../src/base/errors.js";
import type { Contestant, RunningContestant } from "./contestants/contestant.js";
import { answerBytes, helloOf } from "./load/hello.js";
import { forkLoad, type LoadProcess } from "./load-process.js";
import type { Options } from "./options.js";
import { until } from "./processes.js";

/** What all cases share. */
export interface Bench {
  readonly options: Options;
  readonly contestants: readonly Contestant[];
  /** Certificates of root, public-proxy-1, private-proxy-1, crowd and internal-server. */
  readonly certificates: string;
  readonly scratch: string;
  /** Told of every window in which samples are taken. */
  readonly window?: (window: Window) => void;
  /** Says what is going on. */
  readonly say: (line: string) => void;
}

/** Microseconds of the system's monotonic clock. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

export interface Standing extends RunningContestant {
  readonly contestant: Contestant;
}

/** A backend, and contestants that are ready before it. */
export interface Stage {
  readonly bench: Bench;
  readonly backend: LoadProcess<never, never>;
  readonly standing: readonly Standing[];
  readonly failed: readonly { readonly contestant: Contestant; readonly problem: string }[];
  tearDown(): Promise<void>;
}

let stages = 0;

/** `leg` is the second leg (see Place), straight by default. One that does not start is named, not thrown. */
export async function setUp(
  bench: Bench,
  contestants: readonly Contestant[],
  leg: (contestant: Contestant, port: number) => Promise<number> = async (_, port) => port,
): Promise<Stage> {
  const certificate = join(bench.certificates, "internal-server");
  const backend = forkLoad<never, never>("backend", [`${certificate}.crt`, `${certificate}.key`]);
  const target = await backend.listening();
  const standing: Standing[] = [];
  const failed: { contestant: Contestant; problem: string }[] = [];
  const number = ++stages;

  await Promise.all(
    contestants.map(async (contestant, at) => {
      const directory = join(bench.scratch, `stage-${number}-${at}`);
      mkdirSync(directory, { recursive: true });
      try {
        const running = await contestant.start({
          target,
          directory,
          certificates: bench.certificates,
          leg: (port) => leg(contestant, port),
        });
        standing.push({ contestant, ...running });
        await until(`${contestant.name} is ready`, running.programs, () => answers(running.port));
      } catch (error) {
        failed.push({ contestant, problem: messageOf(error) });
      }
    }),
  );

  const usable = standing.filter(({ contestant }) => failed.every((one) => one.contestant !== contestant));
  usable.sort((a, b) => contestants.indexOf(a.contestant) - contestants.indexOf(b.contestant));
  for (const { contestant, problem } of failed) bench.say(`${contestant.name} does not start: ${problem}`);
  return {
    bench,
    backend,
    standing: usable,
    failed,
    async tearDown() {
      // One after the other within each: a profiler that watches a program is to end before it.
      await Promise.all(
        standing.map(async ({ programs }) => {
          for (const program of programs) await program.stop();
        }),
      );
      await backend.close();
    },
  };
}

/** Whether a hello is answered in full. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    let got = 0;
    const socket = connect({ port, host: "127.0.0.1" });
    socket.setTimeout(2000, () => socket.destroy());
    socket.write(helloOf("answer"));
    socket.on("data", (chunk: Buffer) => {
      got += chunk.length;
    });
    socket.on("error", () => {});
    socket.once("close", () => resolve(got === answerBytes));
  });
}
