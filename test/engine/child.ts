import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ExecutionContext } from "ava";

/** A process of its own that tells JSON lines. */
export interface Child<Line> {
  readonly process: ChildProcess;
  /** The lines so far. */
  readonly lines: readonly Line[];
  /** The first line that is so, of those told or to come. Rejects where the process ends before. */
  line(wanted: (line: Line) => boolean): Promise<Line>;
  /** Sends a line and resolves with the next one that is so. */
  ask(wanted: (line: Line) => boolean): Promise<Line>;
  /** Resolves with the exit status, or the signal. */
  readonly ended: Promise<number | string>;
}

/** Starts a script of this folder, ended with the test. `descriptors` is how many it may have. */
export function startChild<Line>(
  t: ExecutionContext,
  script: string,
  args: readonly (string | number)[],
  options: { readonly descriptors?: number } & Pick<SpawnOptions, "uid" | "gid"> = {},
): Child<Line> {
  const { descriptors, ...rest } = options;
  const path = fileURLToPath(new URL(script, import.meta.url));
  const limit = descriptors === undefined ? "" : `ulimit -n ${descriptors}; `;
  const command = ["-c", `${limit}exec "$@"`, "sh", process.execPath, path, ...args.map(String)];
  const child = spawn("sh", command, { stdio: ["pipe", "pipe", "inherit"], ...rest });
  const ended = new Promise<number | string>((resolve) => {
    child.once("close", (status, signal) => resolve(status ?? signal ?? "nothing"));
  });
  t.teardown(async () => {
    child.stdin.destroy();
    child.kill("SIGKILL");
    await ended;
  });
  child.stdin.on("error", () => {});
  const lines: Line[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on("line", (line) => lines.push(JSON.parse(line) as Line));
  const lineFrom = async (from: number, wanted: (line: Line) => boolean): Promise<Line> => {
    for (;;) {
      const found = lines.slice(from).find(wanted);
      if (found !== undefined) return found;
      const status = await Promise.race([once(reader, "line").then(() => undefined), ended]);
      if (status !== undefined && lines.slice(from).find(wanted) === undefined) {
        throw new Error(`${script} ended with ${status}`);
      }
    }
  };
  return {
    process: child,
    lines,
    line: (wanted) => lineFrom(0, wanted),
    ask(wanted) {
      const from = lines.length;
      child.stdin.write("\n");
      return lineFrom(from, wanted);
    },
    ended,
  };
}
