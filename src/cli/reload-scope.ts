import { isDeepStrictEqual } from "node:util";

/** Settings that are read once: sockets, certificates and the engine stay as they were until a restart. */
const fixedKeys = [
  "name",
  "tls.listen",
  "rendezvous.listen",
  "rendezvous.advertise",
  "mesh",
  "limits.halfOpenHellos",
  "admin",
  "transport",
  "state",
  "log.format",
  "log.file",
] as const;

type Tree = Readonly<Record<string, unknown>>;

/** The settings that are in force after a reload: `next`, but for what needs a restart. */
export function reloaded<S extends object>(started: S, next: S): S {
  return fixedKeys.reduce<Tree>((tree, key) => grafted(tree, started as Tree, key.split(".")), next as Tree) as S;
}

/** The keys that need a restart to become what `next` says. */
export function needingRestart(started: object, next: object): string[] {
  return fixedKeys.flatMap((key) => differences(at(started, key), at(next, key), key));
}

/** The keys below `key` that differ. Lists and addresses are compared whole. */
function differences(before: unknown, after: unknown, key: string): string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isTree(before) || !isTree(after)) return [key];
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((name) => differences(before[name], after[name], `${key}.${name}`));
}

function grafted(tree: Tree, from: Tree | undefined, [name, ...rest]: readonly string[]): Tree {
  if (name === undefined) return tree;
  const { [name]: replaced, ...others } = tree;
  const kept = from?.[name];
  if (rest.length === 0) return kept === undefined ? others : { ...others, [name]: kept };
  return isTree(replaced) && isTree(kept) ? { ...others, [name]: grafted(replaced, kept, rest) } : tree;
}

function at(settings: object, key: string): unknown {
  let value: unknown = settings;
  for (const part of key.split(".")) value = (value as Tree | undefined)?.[part];
  return value;
}

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
