import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { systemProblem } from "./path-kinds.js";

/** The files that a settings path stands for, as they are to be named in problems. */
export type Located = { readonly files: readonly string[] } | { readonly problem: string };

/** A file stands for itself, a directory for its `*.yml`, `*.yaml` and `*.json` in name order, hidden ones left out. */
export function locateSettings(path: string): Located {
  try {
    if (!statSync(path).isDirectory()) return { files: [path] };
    const files = readdirSync(path)
      .filter((name) => /^[^.].*\.(yml|yaml|json)$/.test(name))
      .sort()
      .map((name) => join(path, name));
    return files.length > 0 ? { files } : { problem: "this directory holds no *.yml, *.yaml or *.json" };
  } catch (error) {
    return { problem: systemProblem(error) };
  }
}
