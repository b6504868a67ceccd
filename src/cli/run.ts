import type { CommandResult } from "../admin/server.js";
import { atMost } from "../base/deadline.js";
import { codeOf, messageOf, ProxyError } from "../base/errors.js";
import { createLog, type Log } from "../base/log.js";
import { signal } from "../base/signal.js";
import { formatProblem } from "../settings/problem.js";
import type { PrivateSettings, PublicSettings } from "../settings/types.js";
import { type PassedSocket, passedSockets } from "../transport/passed-sockets.js";
import { exitDone, exitFailed, exitSettings } from "./exit.js";
import { needingRestart, reloaded } from "./reload-scope.js";
import { loadSettings, type Role, reportProblems, type Settings } from "./settings.js";
import { startProblem } from "./start-problem.js";
import { stopSignal } from "./stop-signal.js";

/** What an orderly end may take beyond the grace for live connections. */
const endMs = 5000;

interface Running {
  reconfigure(settings: Settings): void;
  stop(): Promise<void>;
}

/** Runs a proxy until a signal ends it. Resolves with the exit status; the caller ends the process with it. */
export async function runProxy(role: Role, options: { settings?: string }): Promise<number> {
  // From here on, so that a signal during the start is obeyed once there is something to stop.
  const stopped = stopSignal();
  const loaded = loadSettings(role, options.settings);
  if (loaded.status === "invalid") {
    reportProblems(loaded);
    return exitSettings;
  }
  const started = loaded.settings;
  let settings = started;
  const opened = openLog(role, started);
  if (opened === undefined) return exitSettings;
  const log: Log = opened;
  process.on("uncaughtException", (error) => {
    log.error({ fault: error.stack ?? error.message }, "a fault of this program: ending");
    process.exit(exitFailed);
  });

  async function reload(): Promise<CommandResult> {
    try {
      const next = loadSettings(role, options.settings);
      if (next.status === "invalid") return refuseReload(next.problems.map(formatProblem));
      const proxy = await running;
      const needsRestart = needingRestart(started, next.settings);
      settings = reloaded(started, next.settings);
      proxy.reconfigure(settings);
      log.info({ needsRestart }, "settings reloaded");
      return { status: "done", body: { reloaded: true, needsRestart } };
    } catch (error) {
      return refuseReload([messageOf(error)]);
    }
  }

  function refuseReload(problems: readonly string[]): CommandResult {
    log.error({ problems }, "the settings were not reloaded: nothing has changed");
    return { status: "failed", message: ["the settings were not reloaded:", ...problems].join("\n") };
  }

  const drained = signal();
  const running = startWithPassed({ settings: started, log, reload, drain: drained.settle });
  process.on("SIGHUP", () => void running.then(reload, () => {}));
  try {
    await running;
  } catch (error) {
    const problem = startProblem(error, started);
    // Standard error tells whoever has just started it; a log in a file tells whoever looks there later.
    if (started.log.file !== undefined) log.error({ reason: codeOf(error) }, problem);
    console.error(`proxy run ${role}: ${problem}`);
    return codeOf(error) === "settings_invalid" ? exitSettings : exitFailed;
  }
  await Promise.race([stopped, drained.settled]);
  await atMost((await running).stop(), settings.shutdown.graceMs + endMs);
  log.close();
  return exitDone;
}

function openLog(role: Role, { log, name }: Settings): Log | undefined {
  try {
    return createLog({ ...log, bindings: { role, name } });
  } catch (error) {
    console.error(`proxy run ${role}: log.file ${log.file}: it cannot be written (${messageOf(error)})`);
    return undefined;
  }
}

interface StartOptions<S extends Settings = Settings> {
  readonly settings: S;
  readonly log: Log;
  readonly reload: () => Promise<CommandResult>;
  readonly drain: () => void;
  /** Listening sockets that the service manager has opened. */
  readonly passed: readonly PassedSocket[];
}

async function startWithPassed(options: Omit<StartOptions, "passed">): Promise<Running> {
  const passed = passedSockets(process.env, process.pid);
  if (passed.length > 0 && !("tls" in options.settings)) {
    throw new ProxyError("settings_invalid", "LISTEN_FDS: a private proxy takes no sockets from the service manager");
  }
  return start({ ...options, passed });
}

/** A role is loaded once its settings are good: what is wrong with them is said at once. */
async function start(options: StartOptions): Promise<Running> {
  if (isForPublic(options)) {
    const { startPublicProxy } = await import("../public/proxy.js");
    const proxy = await startPublicProxy(options);
    return { reconfigure: (next) => proxy.reconfigure(next as PublicSettings), stop: () => proxy.stop() };
  }
  const { startPrivateProxy } = await import("../private/proxy.js");
  const proxy = await startPrivateProxy(options as StartOptions<PrivateSettings>);
  return { reconfigure: (next) => proxy.reconfigure(next as PrivateSettings), stop: () => proxy.stop() };
}

function isForPublic(options: StartOptions): options is StartOptions<PublicSettings> {
  return "tls" in options.settings;
}
