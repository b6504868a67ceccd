import { expected } from "./kinds.js";
import type { Place, Placed, Reading } from "./place.js";
import { isSetting, type Schema, type Setting, settingsOf, unknownKey } from "./schema.js";

/** The settings of one role, and what is known of what does not belong there. */
export interface Role {
  readonly title: string;
  readonly schema: Schema;
  /** Key paths that are refused with a reason of their own. */
  readonly refusals: Readonly<Record<string, string>>;
  /** The role whose settings these may have been meant for. */
  readonly other: { readonly title: string; readonly schema: Schema };
}

/** All files in one. */
export interface Gathered {
  /** By key path, what stands in the files. */
  readonly values: Map<string, Placed>;
  /** By key path, where the map that a key belongs into stands; "" is the first file. */
  readonly groups: Map<string, Place>;
  /** Key paths whose value, or a map above it, is wrong and reported. */
  readonly broken: Set<string>;
}

/**
 * Lays the files over each other: maps merge, joined lists are joined, of everything else the last counts. Reports
 * unknown keys in all of them; values that a later file replaces are not read.
 */
export function gather(role: Role, files: readonly Placed[], reading: Reading): Gathered {
  const gathered: Gathered = { values: new Map(), groups: new Map(), broken: new Set() };
  const elsewhere = new Set([...settingsOf(role.other.schema)].map(([key]) => key));

  function gatherGroup(schema: Schema, { value, place }: Placed, prefix: string): void {
    for (const [name, each] of value as Map<string, unknown>) {
      const at = place.entries!.get(name)!;
      const key = `${prefix}${name}`;
      const node = Object.hasOwn(schema, name) ? schema[name] : undefined;
      if (node === undefined) reading.report(at.key, problemOf(key, name, schema));
      else if (isSetting(node)) gatherSetting(node, key, { value: each, place: at.value });
      else if (each instanceof Map) {
        gathered.groups.set(key, at.key);
        gatherGroup(node, { value: each, place: at.value }, `${key}.`);
      } else if (each !== null) {
        // A group with nothing in it is what remains when all its keys are commented out.
        gathered.broken.add(key);
        reading.report(at.value, expected(`a map with ${Object.keys(node).join(", ")}`, each));
      }
    }
  }

  function gatherSetting(setting: Setting, key: string, found: Placed): void {
    const { value, place } = found;
    const earlier = gathered.values.get(key);
    if (value instanceof Map || (setting.joined === true && !Array.isArray(value))) {
      gathered.broken.add(key);
      reading.report(place, expected(setting.kind.allowed, value));
    } else if (setting.joined === true && earlier !== undefined) {
      const items = [...(earlier.place.items ?? []), ...(place.items ?? [])];
      gathered.values.set(key, { value: [...(earlier.value as []), ...(value as [])], place: { ...place, items } });
    } else {
      gathered.values.set(key, found);
    }
  }

  function problemOf(key: string, name: string, schema: Schema): string {
    const refusal = Object.hasOwn(role.refusals, key) ? role.refusals[key] : undefined;
    if (refusal !== undefined) return refusal;
    if (elsewhere.has(key) || (!key.includes(".") && Object.hasOwn(role.other.schema, key))) {
      return `this is a setting of a ${role.other.title}, these are a ${role.title}'s: ${Object.keys(schema).join(", ")}`;
    }
    return unknownKey(name, Object.keys(schema));
  }

  for (const file of files) {
    if (!gathered.groups.has("")) gathered.groups.set("", file.place);
    gatherGroup(role.schema, file, "");
  }
  return gathered;
}

/** Whether the key, or a map it belongs into, is known to be wrong. */
export function isBroken({ broken }: Gathered, key: string): boolean {
  return [...broken].some((each) => key === each || key.startsWith(`${each}.`));
}

/** Where a key that stands nowhere belongs: the innermost map around it that is written, else the first file's beginning. */
export function placeOfMissing({ groups }: Gathered, key: string): Place {
  for (let end = key.lastIndexOf("."); end > 0; end = key.lastIndexOf(".", end - 1)) {
    const group = groups.get(key.slice(0, end));
    if (group !== undefined) return { ...group, key };
  }
  return { ...groups.get("")!, key };
}
