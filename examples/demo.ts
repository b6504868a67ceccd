import { type ChildProcess, spawn } from "node:child_process";
import { createServer, get } from "node:http";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/**
 * Starts an internal server, a public and a private proxy with the development settings, sends a request through them,
 * and stops everything. `--stay`: keeps them up until Ctrl-C. `-- COMMAND...`: runs that instead of the request.
 */

const proxy = "dist/src/cli/main.js";
const privateSocket = "run/private-proxy-1.sock";
const startDeadlineMs = 20_000;
const stopDeadlineMs = 5000;
const pollMs = 50;

const curl = [
  "curl",
  "--silent",
  "--show-error",
  "--max-time",
  "20",
  "--cacert",
  "certs/root.crt",
  "--resolve",
  "test.internal-server.local:4433:127.0.0.1",
  "https://test.internal-server.local:4433/jsonrpc",
];

const separator = process.argv.indexOf("--");
const flags = process.argv.slice(2, separator === -1 ? undefined : separator);
const command = separator === -1 ? curl : process.argv.slice(separator + 1);
const stay = flags.includes("--stay");
const children: ChildProcess[] = [];
let stopping = false;

/**
 * What a process printed is shown when it fails, or as it comes with `--stay`. Each is in a process group of its own: a
 * terminal sends Ctrl-C to its whole group, and for a proxy a second signal means to end at once.
 */
function start(name: string, args: readonly string[], env: Record<string, string> = {}): void {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", stay ? "inherit" : "pipe", stay ? "inherit" : "pipe"],
    detached: true,
  });
  children.push(child);
  let output = "";
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-8192);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  child.once("exit", (status, signal) => {
    if (stopping) return;
    console.error(`${name} ended early (${signal ?? `status ${status}`})\n${output}`);
    void finish(1);
  });
}

async function portMustBeFree(port: number, what: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", ({ code, message }: NodeJS.ErrnoException) => {
      const why = code === "EADDRINUSE" ? "is in use on 127.0.0.1: stop what listens there" : message;
      reject(new Error(`port ${port} (${what}) ${why}`));
    });
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve()));
  });
}

/** Asks again until `ask` says yes. */
async function until(what: string, ask: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + startDeadlineMs;
  while (!(await ask())) {
    if (stopping) return;
    if (Date.now() > deadline) throw new Error(`${what} is not ready after ${startDeadlineMs / 1000} s`);
    await pause(pollMs);
  }
}

function isReady(where: { socketPath: string } | { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ ...where, path: "/readyz", agent: false, timeout: 2000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Runs a command with this terminal; resolves with its exit status. */
function run([file, ...args]: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(file!, args, { stdio: "inherit", detached: true });
    children.push(child);
    child.once("error", (error) => {
      console.error(`${file}: ${error.message}`);
      resolve(127);
    });
    child.once("exit", (status) => resolve(status ?? 1));
  });
}

async function finish(status: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  const exits = children.filter(isAlive).map((child) => new Promise((resolve) => child.once("exit", resolve)));
  signalAll("SIGTERM");
  const kill = setTimeout(() => signalAll("SIGKILL"), stopDeadlineMs);
  await Promise.all(exits);
  clearTimeout(kill);
  process.exitCode = status;
}

function isAlive({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null;
}

/** To what each process has started, too: a command may be a shell with children. */
function signalAll(signal: NodeJS.Signals): void {
  for (const child of children.filter(isAlive)) {
    try {
      process.kill(-child.pid!, signal);
    } catch {
      // It has just ended.
    }
  }
}

async function main(): Promise<void> {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void finish(stay ? 0 : 130));
  process.on("exit", () => signalAll("SIGKILL"));
  const ports = { 8888: "internal server", 4433: "clients", 4434: "rendezvous", 4435: "mesh", 4436: "admin" };
  for (const [port, what] of Object.entries(ports)) await portMustBeFree(Number(port), what);

  start("internal server", ["dist/examples/internal-server.js"]);
  start("public proxy", [proxy, "run", "public"], { PROXY_SETTINGS: "settings/dev/roles/public-proxy-1" });
  start("private proxy", [proxy, "run", "private"], { PROXY_SETTINGS: "settings/dev/roles/private-proxy-1" });
  await until("the internal server", () => accepts(8888));
  await until("the public proxy", () => isReady({ host: "127.0.0.1", port: 4436 }));
  await until("the private proxy", () => isReady({ socketPath: privateSocket }));
  if (stopping) return;

  if (stay) {
    console.log(
      `\nup until Ctrl-C. Try:\n\n  ${curl.filter((word) => !["--silent", "--show-error"].includes(word)).join(" ")}\n`,
    );
    return;
  }
  if (!flags.includes("--quiet")) console.log(command.join(" "));
  const status = await run(command);
  if (command === curl) console.log();
  await finish(status);
}

main().catch(async (error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  await finish(1);
});
