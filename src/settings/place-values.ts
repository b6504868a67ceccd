import { isAlias, isMap, isScalar, isSeq, type Node, type Pair, Scalar, type YAMLMap } from "yaml";
import { describe, type Place, type Placed, quoted, type Reading } from "./place.js";

export interface Source {
  /** The place of the file itself. */
  readonly whole: Place;
  at(offset: number): { readonly line: number; readonly column: number };
  readonly reading: Reading;
}

/** How many values a file may hold once its aliases are expanded: a few lines of aliases can stand for billions. */
const maxValues = 200_000;

type Entries = Map<string, { value: unknown; key: Place; place: Place }>;

/**
 * Turns the nodes of a document into values with their places. Aliases and merge keys (`<<`) are expanded. Reports keys
 * that are no text or stand twice, unknown aliases, and values that are neither text, number, boolean, list nor map.
 */
export function placeValues(contents: Node | null, { whole, at, reading }: Source): Placed | undefined {
  const anchors = new Map<string, Node>();
  const open = new Set<Node>();
  let values = 0;
  let sound = true;

  function report(place: Place, problem: string): void {
    sound = false;
    reading.report(place, problem);
  }

  function placed(node: Node | null, key: string, otherwise: Place): Placed {
    values += 1;
    const [start, end] = node?.range ?? [0, 0];
    const place: Place = start === end ? { ...otherwise, key } : { ...whole, key, ...at(start) };
    if (values > maxValues) return { value: null, place };
    if (isAlias(node)) return ofAlias(node.source, key, place);
    if (node === null) return { value: null, place };
    if ("anchor" in node && typeof node.anchor === "string") anchors.set(node.anchor, node);
    open.add(node);
    const result = ofNode(node, key, place);
    open.delete(node);
    return result;
  }

  function ofNode(node: Node, key: string, place: Place): Placed {
    if (isSeq<Node | null>(node)) {
      const items = node.items.map((item, i) => placed(item, `${key}[${i}]`, place));
      return { value: items.map(({ value }) => value), place: { ...place, items: items.map((item) => item.place) } };
    }
    if (isMap<Node, Node | null>(node)) return ofEntries(entriesOf(node, key, place), place);
    const value = isScalar(node) ? node.value : undefined;
    if (value === null || ["string", "number", "boolean"].includes(typeof value)) return { value, place };
    report(place, "expected text, a number, true or false, a list or a map");
    return { value: null, place };
  }

  function ofAlias(name: string, key: string, place: Place): Placed {
    const node = anchors.get(name);
    if (node === undefined) {
      report(
        place,
        `YAML takes ${quoted(`*${name}`)} for an alias, and there is no anchor of that name: put it in quotes`,
      );
    } else if (open.has(node)) {
      report(place, `the alias ${quoted(`*${name}`)} refers to what it stands in`);
    } else {
      const result = placed(node, key, place);
      // What is wrong with a value is fixed where it is used, what is wrong inside it where it is written.
      const { line, column } = place;
      return line === undefined || column === undefined
        ? result
        : { value: result.value, place: { ...result.place, line, column } };
    }
    return { value: null, place };
  }

  function entriesOf(node: YAMLMap<Node, Node | null>, key: string, place: Place): Entries {
    const entries: Entries = new Map();
    const merged: Placed[] = [];
    for (const pair of node.items) {
      const keyPlace: Place = pair.key?.range ? { ...whole, key, ...at(pair.key.range[0]) } : place;
      if (isMergeKey(pair)) {
        merged.push(placed(pair.value, key, keyPlace));
        continue;
      }
      const name = isScalar(pair.key) ? pair.key.value : pair.key;
      if (typeof name !== "string") {
        report(keyPlace, `a key is text, found ${isScalar(pair.key) ? describe(name) : "something else"}`);
        continue;
      }
      const path = key === "" ? name : `${key}.${name}`;
      const first = entries.get(name);
      if (first !== undefined) {
        report({ ...keyPlace, key: path }, `this key stands in line ${first.key.line} already, allowed is once`);
      }
      const next = placed(pair.value, path, keyPlace);
      // Of a map that stands twice both halves are looked at, lest keys of the first be called missing.
      const { value, place: valuePlace } = first === undefined ? next : joined(first, next);
      entries.set(name, { value, key: { ...keyPlace, key: path }, place: valuePlace });
    }
    for (const each of merged) mergeInto(entries, each);
    return entries;
  }

  function mergeInto(entries: Entries, { value, place }: Placed): void {
    if (Array.isArray(value)) {
      value.forEach((item, i) => {
        mergeInto(entries, { value: item, place: place.items?.[i] ?? place });
      });
    } else if (value instanceof Map) {
      for (const [name, each] of value) {
        const at = place.entries!.get(name)!;
        if (!entries.has(name)) entries.set(name, { value: each, key: at.key, place: at.value });
      }
    } else {
      report(place, `a merge key takes a map or a list of maps, found ${describe(value)}`);
    }
  }

  const result = placed(contents, "", { ...whole, line: 1, column: 1 });
  if (values > maxValues) {
    report(whole, `the file holds more than ${maxValues} values once its aliases are expanded`);
  } else if (result.value === null && sound) {
    return ofEntries(new Map(), result.place);
  } else if (sound && !(result.value instanceof Map)) {
    report(result.place, `expected a map of settings, found ${describe(result.value)}`);
  }
  return result.value instanceof Map && values <= maxValues ? result : undefined;
}

function joined(first: Placed, second: Placed): Placed {
  if (!(first.value instanceof Map) || !(second.value instanceof Map)) return second;
  const entries = new Map([...first.place.entries!, ...second.place.entries!]);
  return { value: new Map([...first.value, ...second.value]), place: { ...second.place, entries } };
}

function ofEntries(entries: Entries, place: Place): Placed {
  const value = new Map([...entries].map(([name, entry]) => [name, entry.value]));
  const places = new Map([...entries].map(([name, entry]) => [name, { key: entry.key, value: entry.place }]));
  return { value, place: { ...place, entries: places } };
}

/** Only an unquoted `<<` merges. */
function isMergeKey({ key }: Pair<Node, Node | null>): boolean {
  return isScalar(key) && key.value === "<<" && key.type === Scalar.PLAIN;
}
