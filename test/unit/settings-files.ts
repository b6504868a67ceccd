import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ExecutionContext } from "ava";
import { loadPrivateSettings, loadPublicSettings } from "../../src/settings/load.js";
import { formatProblem, type LoadResult } from "../../src/settings/problem.js";

/** A directory of its own for one test, with the given files and an `own.crt`, `own.key` and `root.crt` beside them. */
export function settingsDirectory(t: ExecutionContext, files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), "settings-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  for (const [name, text] of Object.entries({ "own.crt": "", "own.key": "", "root.crt": "", ...files })) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return directory;
}

export const publicYaml = `name: public-1
tls: { listen: "127.0.0.1:4433" }
rendezvous: { listen: "127.0.0.1:4434" }
mesh:
  listen: "127.0.0.1:4435"
  certificate: own.crt
  key: own.key
  ca: root.crt
`;

export const privateYaml = `name: private-1
mesh:
  publics: ["127.0.0.1:4435"]
  certificate: own.crt
  key: own.key
  ca: root.crt
`;

const load = { public: loadPublicSettings, private: loadPrivateSettings };
export type RoleName = keyof typeof load;
type SettingsOf<R extends RoleName> = ReturnType<(typeof load)[R]> extends LoadResult<infer T> ? T : never;

/** The settings of a text that must be in order. */
export function settingsOf<R extends RoleName>(
  t: ExecutionContext,
  role: R,
  text: string,
  env: NodeJS.ProcessEnv = {},
): SettingsOf<R> {
  const path = join(settingsDirectory(t, { "settings.yml": text }), "settings.yml");
  const result = load[role]({ path, env });
  if (result.status === "invalid") throw new Error(result.problems.map(formatProblem).join("\n"));
  return result.settings as SettingsOf<R>;
}

/** The lines that a text's problems make; `DIR` stands for the directory of the file. */
export function linesOf(t: ExecutionContext, role: RoleName, text: string, env: NodeJS.ProcessEnv = {}): string[] {
  const directory = settingsDirectory(t, { "settings.yml": text });
  return linesAt(directory, join(directory, "settings.yml"), role, env);
}

export function linesAt(directory: string, path: string, role: RoleName, env: NodeJS.ProcessEnv = {}): string[] {
  const result = load[role]({ path, env });
  if (result.status === "ok") return [];
  return result.problems.map((problem) =>
    formatProblem(problem)
      .replaceAll(directory, "DIR")
      .replace(/^DIR\//, ""),
  );
}
