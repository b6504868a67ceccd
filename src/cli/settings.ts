import { loadPrivateSettings, loadPublicSettings } from "../settings/load.js";
import { printSettings } from "../settings/print.js";
import { formatProblem, type LoadResult } from "../settings/problem.js";
import type { PrivateSettings, PublicSettings } from "../settings/types.js";
import { exitDone, exitSettings } from "./exit.js";

type Role = "public" | "private";

/** Loads the settings of a role from `--settings` or the environment. */
export function loadSettings(role: Role, path: string | undefined): LoadResult<PublicSettings | PrivateSettings> {
  const options = { ...(path === undefined ? {} : { path }), env: process.env };
  return role === "public" ? loadPublicSettings(options) : loadPrivateSettings(options);
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
