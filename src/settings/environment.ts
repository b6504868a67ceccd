import type { Role } from "./gather.js";
import { nearest } from "./near.js";
import type { Place, Placed, Reading } from "./place.js";
import { settingsOf } from "./schema.js";

/** Names the file or directory of the settings, so it is no setting itself. */
export const settingsVariable = "PROXY_SETTINGS";

/** The variable of a setting: `shutdown.graceMs` is PROXY_SHUTDOWN_GRACE_MS. */
export function variableOf(key: string): string {
  const words = key.replace(/([a-z0-9])([A-Z])/g, "$1_$2").replaceAll(".", "_");
  return `PROXY_${words.toUpperCase()}`;
}

/**
 * The settings that stand in the environment, by variable. Reports those that have no environment form or are refused,
 * and unknown ones that are near to a known one; the rest of PROXY_* belongs to others.
 */
export function readEnvironment(role: Role, env: NodeJS.ProcessEnv, reading: Reading): Map<string, Placed> {
  const own = new Map([...settingsOf(role.schema)].map(([key, setting]) => [variableOf(key), { key, setting }]));
  const refused = new Map(Object.entries(role.refusals).map(([key, why]) => [variableOf(key), { key, why }]));
  const others = new Set([...settingsOf(role.other.schema)].map(([key]) => variableOf(key)));
  const found = new Map<string, Placed>();

  for (const variable of Object.keys(env).sort()) {
    const text = env[variable];
    if (!variable.startsWith("PROXY_") || variable === settingsVariable || text === undefined) continue;
    const place = (key: string): Place => ({ key, file: variable, directory: process.cwd() });
    const { key, setting } = own.get(variable) ?? {};
    const refusal = refused.get(variable);
    if (key !== undefined && setting !== undefined) {
      if (setting.kind.fromText === undefined) {
        reading.report(place(key), "a list of maps has no environment form, it is written in a file");
        continue;
      }
      const value = setting.kind.fromText(text);
      const items = Array.isArray(value) ? value.map((_, i) => place(`${key}[${i}]`)) : [];
      found.set(variable, { value, place: { ...place(key), items } });
    } else if (refusal !== undefined) {
      reading.report(place(refusal.key), refusal.why);
    } else if (!others.has(variable)) {
      const meant = nearest(variable.slice("PROXY_".length), [...own.keys()].map(withoutPrefix));
      if (meant !== undefined) reading.report(place(""), `this variable is not known, did you mean PROXY_${meant}?`);
    }
  }
  return found;
}

function withoutPrefix(variable: string): string {
  return variable.slice("PROXY_".length);
}
