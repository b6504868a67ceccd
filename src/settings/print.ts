import { stringify } from "yaml";
import { type Address, formatAddress } from "../base/address.js";
import { privateSchema } from "./private-schema.js";
import { publicSchema } from "./public-schema.js";
import { settingsOf } from "./schema.js";
import type { PrivateSettings, PublicSettings } from "./types.js";

const redacted = "[redacted]";
const secrets = new Set(
  [...settingsOf(publicSchema), ...settingsOf(privateSchema)].filter(([, { secret }]) => secret).map(([key]) => key),
);

/** All settings in force, defaults among them, as YAML that can be loaded again but for the secrets, which are redacted. */
export function printSettings(settings: PublicSettings | PrivateSettings): string {
  return stringify(written(settings, ""), { lineWidth: 0 });
}

function written(value: unknown, key: string): unknown {
  if (secrets.has(key)) return redacted;
  if (Array.isArray(value)) return value.map((item) => written(item, `${key}[]`));
  if (typeof value !== "object" || value === null) return value;
  if ("kind" in value) return formatAddress(value as Address);
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(entries.map(([name, each]) => [name, written(each, key === "" ? name : `${key}.${name}`)]));
}
