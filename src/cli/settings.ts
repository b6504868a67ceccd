import { loadPrivateSettings, loadPublicSettings } from "../settings/load.js";
import { printSettings } from "../settings/print.js";
import { formatProblem, type LoadResult } from "../settings/problem.js";
import type { PrivateSettings, PublicSettings } from "../settings/types.js";
import { exitDone, exitSettings } from "./exit.js";
import { meshFileProblems } from "./mesh-files.js";

export type Role = "public" | "private";
export type Settings = PublicSettings | PrivateSettings;

/** Loads the settings of a role from `--settings` or the environment, to run with them. */
export function loadSettings(role: Role, path: string | undefined): LoadResult<Settings> {
  const options = { path, env: process.env };
  const result = role === "public" ? loadPublicSettings(options) : loadPrivateSettings(options);
  if (result.status === "invalid") return result;
  const problems = meshFileProblems(role, result.settings.mesh);
  return problems.length > 0 ? { status: "invalid", problems } : result;
}

/** Loads them to find the proxy that runs with them: by another user, perhaps, who alone can read its keys. */
export function locateSettings(role: Role, path: string | undefined): LoadResult<Settings> {
  // A token for public proxies may stand in the environment of whoever looks after both.
  const { PROXY_ADMIN_TOKEN: _, ...env } = process.env;
  if (role === "private") return loadPrivateSettings({ path, env, checkFiles: false });
  return loadPublicSettings({ path, env: process.env, checkFiles: false });
}

/** One line for each problem, on standard error. */
export function reportProblems(result: Extract<LoadResult<unknown>, { status: "invalid" }>): void {
  for (const problem of result.problems) console.error(formatProblem(problem));
}

export function checkSettings(role: Role, options: { settings?: string }): number {
  const result = loadSettings(role, options.settings);
  if (result.status === "invalid") {
    reportProblems(result);
    return exitSettings;
  }
  console.log(`${result.files.join(", ")}: good settings for a ${role} proxy`);
  return exitDone;
}

export function printSettingsOf(role: Role, options: { settings?: string }): number {
  const result = loadSettings(role, options.settings);
  if (result.status === "invalid") {
    reportProblems(result);
    return exitSettings;
  }
  process.stdout.write(printSettings(result.settings));
  return exitDone;
}
