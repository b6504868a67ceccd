import { expected, type Kind } from "./kinds.js";
import { nearest } from "./near.js";
import type { Place, Reading } from "./place.js";

export type Presence = "required" | "default" | "optional";

/** One key of the settings. */
export interface Setting<T = unknown, P extends Presence = Presence> {
  readonly kind: Kind<T>;
  readonly presence: P;
  /** As it would stand in a file. */
  readonly default?: unknown;
  /** What it does and why its default is what it is, as a sentence or two of the reference. */
  readonly doc: string;
  readonly secret?: boolean;
  /** Whether the lists of several files are joined; otherwise the last one counts. */
  readonly joined?: boolean;
  /** Its own settings, where it is a map, or those of each map, where it is a list of them. */
  readonly fields?: Fields;
}

export type Fields = { readonly [key: string]: Setting };
export type Schema = { readonly [key: string]: Setting | Schema };

/** What settings of a schema are once they are read. */
export type Values<S> = {
  readonly [K in keyof S as S[K] extends Setting<unknown, "optional"> ? never : K]: ValueOf<S[K]>;
} & {
  readonly [K in keyof S as S[K] extends Setting<unknown, "optional"> ? K : never]?: ValueOf<S[K]>;
};
type ValueOf<N> = N extends Setting<infer T> ? T : Values<N>;

export function required<T>(kind: Kind<T>, doc: string): Setting<T, "required"> {
  return { kind, presence: "required", doc };
}

export function setting<T>(kind: Kind<T>, value: unknown, doc: string): Setting<T, "default"> {
  return { kind, presence: "default", default: value, doc };
}

export function optional<T>(kind: Kind<T>, doc: string): Setting<T, "optional"> {
  return { kind, presence: "optional", doc };
}

/** An optional setting whose value is never shown. */
export function secretSetting<T>(kind: Kind<T>, doc: string): Setting<T, "optional"> {
  return { ...optional(kind, doc), secret: true };
}

/** What remains to be said of a list when its items are read; those that had problems are undefined. */
export type ListCheck<T> = (items: readonly (T | undefined)[], places: readonly Place[], reading: Reading) => void;

/** A list of maps, empty by default. Over several files the lists are joined; there is no environment form. */
export function mapList<const F extends Fields>(
  fields: F,
  doc: string,
  check: ListCheck<Values<F>> = () => {},
): Setting<readonly Values<F>[], "default"> {
  const allowed = `a list of maps with ${Object.keys(fields).join(", ")}`;
  const kind: Kind<readonly Values<F>[]> = {
    allowed,
    read(value, place, reading) {
      if (!Array.isArray(value)) {
        reading.report(place, expected(allowed, value));
        return undefined;
      }
      const places = value.map((_, i) => place.items?.[i] ?? place);
      const items = value.map((item, i) => readMap(fields, item, places[i]!, reading));
      check(items, places, reading);
      return items.some((item) => item === undefined) ? undefined : (items as Values<F>[]);
    },
  };
  return { kind, presence: "default", default: [], doc, joined: true, fields };
}

/** A map of settings in an item of such a list. Where it is left out, each of its own settings has its default. */
export function nestedMap<const F extends Fields>(fields: F, doc: string): Setting<Values<F>, "default"> {
  return { kind: mapKind(fields), presence: "default", default: new Map(), doc, fields };
}

/** The same, where leaving it out means that there is none. */
export function optionalMap<const F extends Fields>(fields: F, doc: string): Setting<Values<F>, "optional"> {
  return { kind: mapKind(fields), presence: "optional", doc, fields };
}

function mapKind<F extends Fields>(fields: F): Kind<Values<F>> {
  return {
    allowed: `a map with ${Object.keys(fields).join(", ")}`,
    read: (value, place, reading) => readMap(fields, value, place, reading),
  };
}

function readMap<F extends Fields>(fields: F, value: unknown, place: Place, reading: Reading): Values<F> | undefined {
  if (!(value instanceof Map)) {
    reading.report(place, expected(`a map with ${Object.keys(fields).join(", ")}`, value));
    return undefined;
  }
  let complete = true;
  for (const key of value.keys()) {
    if (Object.hasOwn(fields, key)) continue;
    complete = false;
    reading.report(place.entries?.get(key)?.key ?? place, unknownKey(key, Object.keys(fields)));
  }
  const read: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(fields)) {
    const at = place.entries?.get(key)?.value ?? { ...place, key: `${place.key}.${key}` };
    if (!value.has(key) && field.presence === "optional") continue;
    if (!value.has(key) && field.presence === "required") {
      reading.report(at, `is missing, expected ${field.kind.allowed}`);
      complete = false;
      continue;
    }
    const result = field.kind.read(value.has(key) ? value.get(key) : field.default, at, reading);
    if (result === undefined) complete = false;
    read[key] = result;
  }
  return complete ? (read as Values<F>) : undefined;
}

export function isSetting(node: Setting | Schema): node is Setting {
  return "kind" in node && "doc" in node;
}

/** Every setting with its key path, in the order of the schema. */
export function* settingsOf(schema: Schema, prefix = ""): Generator<[key: string, setting: Setting]> {
  for (const [name, node] of Object.entries(schema)) {
    if (isSetting(node)) yield [`${prefix}${name}`, node];
    else yield* settingsOf(node, `${prefix}${name}.`);
  }
}

/** What to say of a key that is not known. */
export function unknownKey(key: string, allowed: readonly string[]): string {
  const meant = nearest(key, allowed);
  return meant === undefined
    ? `this key is not known, allowed are ${allowed.join(", ")}`
    : `this key is not known, did you mean ${meant}?`;
}
