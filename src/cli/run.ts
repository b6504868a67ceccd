import type { CommandResult } from "../admin/server.js";
import { codeOf, messageOf } from "../base/errors.js";
import { createLog, type Log } from "../base/log.js";
import { startPrivateProxy } from "../private/proxy.js";
import { startPublicProxy } from "../public/proxy.js";
import { formatProblem } from "../settings/problem.js";
import type { PrivateSettings, PublicSettings } from "../settings/types.js";
import { exitDone, exitFailed, exitSettings } from "./exit.js";
import { fixedDifferences } from "./reload-scope.js";
import { loadSettings, reportProblems } from "./settings.js";

type Role = "public" | "private";
type Settings = PublicSettings | PrivateSettings;

interface Running {
  reconfigure(settings: Settings): void;
  stop(): Promise<void>;
}

/** Runs a proxy until a signal ends it. Resolves with the exit status. */
export async function runProxy(role: Role, options: { settings?: string }): Promise<number> {
  const loaded = loadSettings(role, options.settings);
  if (loaded.status === "invalid") {
    reportProblems(loaded);
    return exitSettings;
  }
  let { settings } = loaded;
  const log = createLog({ ...settings.log, bindings: { role, proxy: settings.name } });
  process.on("uncaughtException", (error) => {
    log.error({ fault: error.stack ?? error.message }, "a fault of this program: ending");
    process.exit(exitFailed);
  });

  async function reload(): Promise<CommandResult> {
    const next = loadSettings(role, options.settings);
    if (next.status === "invalid") {
      const message = next.problems.map(formatProblem).join("\n");
      log.error({ problems: message }, "the settings were not reloaded: they are invalid");
      return { status: "failed", message };
    }
    const needsRestart = fixedDifferences(settings, next.settings);
    settings = next.settings;
    running.reconfigure(settings);
    log.info({ needsRestart }, "settings reloaded");
    return { status: "done", body: { reloaded: true, needsRestart } };
  }

  let running: Running;
  try {
    running = await start(settings, log, reload);
  } catch (error) {
    log.error({ reason: codeOf(error) }, messageOf(error));
    console.error(`proxy run ${role}: ${messageOf(error)}`);
    return codeOf(error) === "settings_invalid" ? exitSettings : exitFailed;
  }
  process.on("SIGHUP", () => void reload());
  await stopSignal(running);
  log.close();
  return exitDone;
}

async function start(settings: Settings, log: Log, reload: () => Promise<CommandResult>): Promise<Running> {
  if ("tls" in settings) {
    const proxy = await startPublicProxy({ settings, log, reload });
    return { reconfigure: (next) => proxy.reconfigure(next as PublicSettings), stop: () => proxy.stop() };
  }
  const proxy = await startPrivateProxy({ settings, log, reload });
  return { reconfigure: (next) => proxy.reconfigure(next as PrivateSettings), stop: () => proxy.stop() };
}

/** Resolves when the first SIGTERM or SIGINT has been obeyed; a second one ends the process at once. */
function stopSignal(running: Running): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const obey = () => {
      if (asked) process.exit(exitDone);
      asked = true;
      running.stop().then(resolve);
    };
    process.on("SIGTERM", obey);
    process.on("SIGINT", obey);
  });
}
