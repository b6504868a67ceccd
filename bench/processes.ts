import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** How long a process may take to obey SIGTERM. */
const patienceMs = 5000;
const keptOutput = 8192;

/** A program under measurement. */
export interface RunningProgram {
  readonly name: string;
  readonly pid: number;
  /** The end of what it printed. */
  readonly output: string;
  /** Undefined while it runs. */
  readonly ended: string | undefined;
  /** SIGTERM, and SIGKILL where that is not obeyed. Resolves when it is gone. */
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Throws where the program cannot be started at all. */
export async function startProgram(
  command: string,
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly name?: string } = {},
): Promise<RunningProgram> {
  const name = options.name ?? command;
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...options.env } });
  let output = "";
  let ended: string | undefined;
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-keptOutput);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const gone = new Promise<void>((resolve) => {
    child.once("exit", (status, signal) => {
      ended = signal ?? `status ${status}`;
      running.delete(child);
      resolve();
    });
  });
  await once(child, "spawn");
  running.add(child);
  return {
    name,
    pid: child.pid!,
    get output() {
      return output;
    },
    get ended() {
      return ended;
    },
    async stop() {
      if (ended === undefined) child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), patienceMs);
      await gone;
      clearTimeout(timer);
    },
  };
}

/**
 * A port that was free a moment ago, for programs that must be told one. Never the same twice, and below the range from which
 * the system gives ports to outgoing connections: one of those could take it in between.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 30_000);
    if (given.has(port)) continue;
    given.add(port);
    const server = createServer().listen(port, "127.0.0.1");
    const free = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!free) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

const given = new Set<number>();

/** Asks until the answer is yes. Throws where one of the programs ends before, or time is up. */
export async function until(
  what: string,
  programs: readonly RunningProgram[],
  ask: () => Promise<boolean>,
  deadlineMs = 20_000,
): Promise<void> {
  const giveUpAt = performance.now() + deadlineMs;
  while (!(await ask())) {
    const dead = programs.find((program) => program.ended !== undefined);
    if (dead !== undefined) throw new Error(`${dead.name} ended (${dead.ended}): ${dead.output.trim()}`);
    if (performance.now() > giveUpAt) {
      const said = programs.map(({ name, output }) => `${name}: ${output.trim()}`).join("\n");
      throw new Error(`${what}: not within ${deadlineMs / 1000} s\n${said}`);
    }
    await pause(25);
  }
}
