import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type RunningProgram, startProgram } from "../../bench/processes.js";
import { askAdmin } from "../../src/admin/client.js";
import type { Status } from "../../src/admin/status.js";
import { figuresOf, type ProcessFigures } from "./proc.js";
import type { SteadyClock } from "./steady-clock.js";

const obeysMs = 30_000;

const main = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const backend = fileURLToPath(new URL("./checked/backend.js", import.meta.url));

/** A process that can be killed and started again as it was. Its log goes on in the same file. */
export interface Member {
  readonly name: string;
  readonly role: "public" | "private" | "server";
  /** Throws where it does not run. */
  readonly pid: number;
  readonly running: boolean;
  /** How it ended by itself, with the end of what it printed; undefined: it never did. */
  readonly died: string | undefined;
  start(): Promise<void>;
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM, and SIGKILL where that is not obeyed within 30 s. Resolves with how it ended: a status or a signal. */
  stop(clock: SteadyClock): Promise<string>;
  /** Undefined where it does not answer. */
  status(): Promise<Status | undefined>;
  /** The text of /metrics; undefined where it does not answer. */
  metrics(): Promise<string | undefined>;
  figures(): ProcessFigures;
  /** Every log line so far, of all its lives. */
  logLines(): Record<string, unknown>[];
}

export interface ProxyMemberOptions {
  readonly name: string;
  readonly role: "public" | "private";
  /** For settings, socket and log. */
  readonly dir: string;
  /** Without `name`, `admin` and `log`, which are set here. */
  readonly settings: object;
  readonly logConnections: boolean;
  /** What `ulimit -n` is set to. */
  readonly maxDescriptors?: number;
}

export function proxyMember({ name, role, dir, settings, logConnections, maxDescriptors }: ProxyMemberOptions): Member {
  const path = join(dir, `${name}.json`);
  const socket = join(dir, `${name}.sock`);
  const logFile = join(dir, `${name}.log`);
  const log = { level: "info", format: "json", file: logFile, connections: logConnections };
  writeFileSync(path, JSON.stringify({ name, ...settings, admin: { socket }, log }));
  const args = [main, "run", role, "--settings", path];
  return member({ name, role, args, maxDescriptors, socket, logFile });
}

/** The internal server of checked connections. `wrongFile`: where it writes what it finds wrong. */
export function serverMember(options: {
  readonly name: string;
  readonly port: number;
  readonly certificate: string;
  readonly key: string;
  readonly wrongFile: string;
}): Member {
  const { name, port, certificate, key, wrongFile } = options;
  return member({ name, role: "server", args: [backend, String(port), certificate, key, wrongFile] });
}

function member(options: {
  name: string;
  role: Member["role"];
  args: readonly string[];
  maxDescriptors?: number | undefined;
  socket?: string;
  logFile?: string;
}): Member {
  const { name, role, args, maxDescriptors, socket, logFile } = options;
  let program: RunningProgram | undefined;
  let died: string | undefined;

  function alive(): RunningProgram {
    if (program === undefined) throw new Error(`${name} does not run`);
    return program;
  }

  function look(): void {
    if (program?.ended === undefined) return;
    died ??= `${name} ended by itself (${program.ended}): ${program.output.trim()}`;
    program = undefined;
  }

  async function ask(path: string): Promise<unknown> {
    look();
    if (program === undefined || socket === undefined) return undefined;
    const target = { address: { kind: "unix", path: socket }, token: undefined } as const;
    return askAdmin(target, "GET", path).then(
      ({ status, body }) => (status === 200 ? body : undefined),
      () => undefined,
    );
  }

  return {
    name,
    role,
    get pid() {
      return alive().pid;
    },
    get running() {
      look();
      return program !== undefined;
    },
    get died() {
      look();
      return died;
    },
    async start() {
      const limited = ["-c", `ulimit -n ${maxDescriptors}; exec "$0" "$@"`, process.execPath, ...args];
      program =
        maxDescriptors === undefined
          ? await startProgram(process.execPath, args, { name })
          : await startProgram("sh", limited, { name });
    },
    signal(signal) {
      look();
      if (program !== undefined) process.kill(program.pid, signal);
    },
    async kill() {
      look();
      const victim = program;
      program = undefined;
      if (victim === undefined) return;
      process.kill(victim.pid, "SIGKILL");
      await victim.stop();
    },
    async stop(clock) {
      look();
      if (program === undefined) return "gone";
      const stopped = program;
      program = undefined;
      process.kill(stopped.pid, "SIGTERM");
      if (!(await clock.within(obeysMs, () => stopped.ended !== undefined))) process.kill(stopped.pid, "SIGKILL");
      await stopped.stop();
      return stopped.ended ?? "";
    },
    status: async () => (await ask("/status")) as Status | undefined,
    metrics: async () => (await ask("/metrics")) as string | undefined,
    figures: () => figuresOf(alive().pid),
    logLines() {
      if (logFile === undefined || !existsSync(logFile)) return [];
      const lines = readFileSync(logFile, "utf8").split("\n");
      return lines.flatMap((line) => {
        // A line may be cut off where the process was killed.
        try {
          return [JSON.parse(line) as Record<string, unknown>];
        } catch {
          return [];
        }
      });
    },
  };
}
