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
  "log.format",
  "log.file",
] as const;

/** The keys that differ and need a restart to take effect. */
export function fixedDifferences(before: object, after: object): string[] {
  return fixedKeys.filter((key) => !isDeepStrictEqual(at(before, key), at(after, key)));
}

function at(settings: object, key: string): unknown {
  let value: unknown = settings;
  for (const part of key.split(".")) value = (value as Record<string, unknown> | undefined)?.[part];
  return value;
}
