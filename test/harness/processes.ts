import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ExecutionContext } from "ava";

const main = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const patienceMs = 15_000;

/** A proxy in a process of its own: to be killed, stopped with SIGSTOP, and looked at from outside. */
export interface ProxyProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly settingsPath: string;
  /** Every log line so far. */
  readonly lines: readonly Record<string, unknown>[];
  /** What was printed that is no log line. */
  readonly printed: string;
  /** Resolves with the first log line, past or to come, that fits. */
  line(fits: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the exit status, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
}

/** Listening sockets for a process, as a service manager passes them: what they are called, and their numbers here. */
export type PassedToProcess = readonly (readonly [name: string, descriptor: number])[];

/**
 * Starts `proxy run ROLE`; it is killed when the test ends. Settings are plain data, written to a file. `descriptors`: how
 * many the process may have.
 */
export function runProxyProcess(
  t: ExecutionContext,
  role: "public" | "private",
  settings: object,
  { descriptors, passed = [] }: { readonly descriptors?: number; readonly passed?: PassedToProcess } = {},
): ProxyProcess {
  const dir = mkdtempSync(join(tmpdir(), "proxy-process-"));
  const settingsPath = join(dir, "settings.json");
  writeFileSync(settingsPath, JSON.stringify(settings));
  const command = [process.execPath, main, "run", role, "--settings", settingsPath];
  const limit = descriptors === undefined ? "" : `ulimit -n ${descriptors}; `;
  const names = passed.map(([name]) => name).join(":");
  // Only the process itself knows its id.
  const sockets = passed.length === 0 ? "" : `LISTEN_PID=$$ LISTEN_FDS=${passed.length} LISTEN_FDNAMES=${names} `;
  const prefix = `${limit}${sockets}`;
  const prefixed = prefix === "" ? command : ["sh", "-c", `${prefix}exec "$@"`, "sh", ...command];
  const child = spawn(prefixed[0]!, prefixed.slice(1), {
    stdio: ["ignore", "pipe", "pipe", ...passed.map(([, descriptor]) => descriptor)],
  });
  const lines: Record<string, unknown>[] = [];
  const waiting = new Set<() => void>();
  let printed = "";
  let rest = "";
  const take = (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split("\n");
    rest = parts.pop()!;
    for (const part of parts) {
      if (part.startsWith("{")) lines.push(JSON.parse(part));
      else printed += `${part}\n`;
    }
    for (const look of [...waiting]) look();
  };
  child.stdout!.on("data", take);
  child.stderr!.on("data", (chunk: Buffer) => {
    printed += chunk.toString();
  });
  const exited = once(child, "close").then(([status, signal]) => (status ?? signal) as number | NodeJS.Signals);
  t.teardown(async () => {
    child.kill("SIGKILL");
    await exited;
    rmSync(dir, { recursive: true });
  });
  return {
    child,
    pid: child.pid!,
    settingsPath,
    lines,
    get printed() {
      return printed;
    },
    line(fits) {
      return new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find(fits);
          if (found === undefined) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve(found);
        };
        const timer = setTimeout(() => {
          waiting.delete(look);
          const said = lines.map((line) => JSON.stringify(line)).join("\n");
          reject(
            new Error(`${role}: the log line did not come within ${patienceMs} ms; there are:\n${said}\n${printed}`),
          );
        }, patienceMs);
        waiting.add(look);
        look();
      });
    },
    kill: (signal) => void child.kill(signal),
    exited,
  };
}

/** What a command printed, and its exit status. */
export interface CommandOutcome {
  readonly status: number | null;
  readonly out: string;
  readonly error: string;
}

/** Runs `proxy ARGS` to its end. No settings come from this process's environment. */
export async function runCommand(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CommandOutcome> {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("PROXY_"));
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...Object.fromEntries(own), ...env },
    timeout: patienceMs,
  });
  const [out, error, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { status, out, error };
}

export function ready(proxy: ProxyProcess): Promise<unknown> {
  return proxy.line((line) => line.msg === "public proxy is ready" || line.msg === "attached");
}

/** This process's own ports, so that those that run beside it do not choose the same ones. */
const ownPorts = 200;
const firstPort = 10_000 + (process.pid % 100) * ownPorts;
let nextPort = randomInt(ownPorts);

/**
 * Ports that were free a moment ago, for what must come back at the same place after a restart. Below the range from which
 * the system gives ports to outgoing connections: one of those could take the port in between.
 */
export async function freePorts<const N extends number>(count: N): Promise<number[] & { length: N }> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = firstPort + (nextPort++ % ownPorts);
    const server = createServer().listen(port, "127.0.0.1");
    const free = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!free) continue;
    ports.add(port);
    await new Promise((resolve) => server.close(resolve));
  }
  return [...ports] as number[] & { length: N };
}

/** Resolves when something accepts on the port: for programs that do not say when they are ready. Tries for 15 s. */
export async function accepting(port: number): Promise<void> {
  const giveUpAt = performance.now() + patienceMs;
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const accepted = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (accepted) return;
    if (performance.now() > giveUpAt) throw new Error(`nothing accepts on port ${port}`);
    await pause(20);
  }
}
