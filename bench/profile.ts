import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cases } from "./cases/all.js";
import { type Contestant, findProgram } from "./contestants/contestant.js";
import { ours } from "./contestants/ours.js";
import { type CpuProfile, summarise } from "./cpu-profile.js";
import { startProgram, until } from "./processes.js";
import { resultsDirectory } from "./report.js";
import { answers, type Bench, type Window } from "./stage.js";

const roles = ["public", "private"] as const;
/** e waits most of the time; g is b and c over again. */
const profiled = ["a", "b", "c", "d", "f"];
const shownFunctions = 15;
const intervalUs = 250;
const windowMs = 3000;

/**
 * Where our processes spend their time and which system calls they make, for each case and engine: a run under Node's CPU
 * profiler, and another one under strace, which slows what it counts. Prints, and writes bench/results/profile-*.txt.
 */
export async function profileOurs(bench: Bench): Promise<void> {
  mkdirSync(resultsDirectory, { recursive: true });
  for (const engine of bench.options.engines) {
    for (const one of cases) {
      if (!profiled.includes(one.letter) || !bench.options.only.includes(one.letter)) continue;
      const directory = join(bench.scratch, `profile-${engine}-${one.letter}`);
      // A folder for each role: every thread of a process writes a profile of its own into it.
      for (const role of roles) mkdirSync(join(directory, role), { recursive: true });
      const nodeFlags = (role: string) => [
        "--cpu-prof",
        `--cpu-prof-dir=${join(directory, role)}`,
        `--cpu-prof-interval=${intervalUs}`,
      ];
      const windows: Window[] = [];
      const runAlone = (contestant: Contestant) =>
        one.run({
          ...bench,
          contestants: [contestant],
          options: { ...bench.options, rounds: 1, windowMs },
          window: (window) => windows.push(window),
        });
      await runAlone(ours({ engine, nodeFlags }));
      const seen = [...windows];
      const counted = findProgram("strace") !== undefined;
      if (counted) await runAlone(underStrace(ours({ engine }), directory));
      const text = roles
        .map((role) => {
          const calls = join(directory, `${role}.strace`);
          const heading = `## ${one.letter}, engine ${engine}: ${role} proxy\n\n`;
          const callText = counted && existsSync(calls) ? readFileSync(calls, "utf8") : "no strace here\n";
          return `${heading}${formatProfiles(join(directory, role), seen)}\nSystem calls:\n\n${callText}`;
        })
        .join("\n");
      console.log(text);
      writeFileSync(join(resultsDirectory, `profile-${engine}-${one.letter}.txt`), text);
    }
  }
}

/** Node's names end with the number of the thread, 0 the main one, and a serial number: `CPU.DATE.TIME.PID.1.002.cpuprofile`. */
function formatProfiles(directory: string, windows: readonly Window[]): string {
  const threads = readdirSync(directory).map((name) => ({ name, thread: Number(name.split(".").at(-3)) }));
  return threads
    .sort((a, b) => a.thread - b.thread)
    .map(({ name, thread }) => {
      const title = thread === 0 ? "The main thread" : `Worker thread ${thread}`;
      return `${title}: ${formatProfile(join(directory, name), windows)}`;
    })
    .join("\n");
}

function formatProfile(path: string, windows: readonly Window[]): string {
  const { busySeconds, areas, functions } = summarise(JSON.parse(readFileSync(path, "utf8")) as CpuProfile, windows);
  const line = ({ name, share }: { name: string; share: number }) =>
    `${(share * 100).toFixed(1).padStart(6)} %  ${name}\n`;
  return (
    `busy for ${busySeconds.toFixed(2)} s. Where:\n\n${areas.map(line).join("")}\n` +
    `The functions themselves:\n\n${functions.slice(0, shownFunctions).map(line).join("")}`
  );
}

/** The same contestant, each of its programs watched once it is ready; the watchers are stopped first. */
function underStrace(contestant: Contestant, directory: string): Contestant {
  return {
    ...contestant,
    async start(place) {
      const running = await contestant.start(place);
      await until("ready to be watched", running.programs, () => answers(running.port));
      const watchers = await Promise.all(
        running.hops.map(({ title, pid }) =>
          startProgram("strace", ["-c", "-f", "-o", join(directory, `${title}.strace`), "-p", String(pid)], {
            name: "strace",
          }),
        ),
      );
      return { ...running, programs: [...watchers, ...running.programs] };
    },
  };
}
