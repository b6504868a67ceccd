import type { Pattern } from "./pattern.js";

/** The values held under one pattern. */
export interface PatternEntry<T> {
  readonly pattern: Pattern;
  /** In the order in which they were added; a live view of the table. */
  readonly values: ReadonlySet<T>;
}

/** Values by pattern, found by name. A pattern may have several values; one that has none left is gone. */
export interface PatternTable<T> {
  /** False where the pattern has this value already. */
  add(pattern: Pattern, value: T): boolean;
  /** False where the pattern does not have this value. */
  delete(pattern: Pattern, value: T): boolean;
  /** Whether the pattern has a value. */
  has(pattern: Pattern): boolean;
  /**
   * What matches `name`, as the reader gives it, from most to least specific: the name itself, then the longest suffix
   * with `*.` before `**.`, then `*`. Without a name only `*`. Costs a few look-ups per label, whatever the table's size.
   */
  lookup(name: string | undefined): PatternEntry<T>[];
  /** How many patterns have a value. */
  readonly size: number;
  patterns(): Iterable<Pattern>;
}

interface Entry<T> extends PatternEntry<T> {
  readonly values: Set<T>;
}

export function createPatternTable<T>(): PatternTable<T> {
  const byKind = {
    exact: new Map<string, Entry<T>>(),
    "one-label": new Map<string, Entry<T>>(),
    "any-label": new Map<string, Entry<T>>(),
    all: new Map<string, Entry<T>>(),
  };

  return {
    add(pattern, value) {
      const entries = byKind[pattern.kind];
      const entry = entries.get(pattern.name);
      if (entry === undefined) {
        entries.set(pattern.name, { pattern, values: new Set([value]) });
        return true;
      }
      if (entry.values.has(value)) return false;
      entry.values.add(value);
      return true;
    },

    delete(pattern, value) {
      const entries = byKind[pattern.kind];
      const entry = entries.get(pattern.name);
      if (entry?.values.delete(value) !== true) return false;
      if (entry.values.size === 0) entries.delete(pattern.name);
      return true;
    },

    has: (pattern) => byKind[pattern.kind].has(pattern.name),

    lookup(name) {
      const found: PatternEntry<T>[] = [];
      const take = (entry: Entry<T> | undefined) => {
        if (entry !== undefined) found.push(entry);
      };
      if (name !== undefined) {
        take(byKind.exact.get(name));
        const firstDot = name.indexOf(".");
        for (let dot = firstDot; dot !== -1; dot = name.indexOf(".", dot + 1)) {
          const suffix = name.slice(dot + 1);
          if (dot === firstDot) take(byKind["one-label"].get(suffix));
          take(byKind["any-label"].get(suffix));
        }
      }
      take(byKind.all.get(""));
      return found;
    },

    get size() {
      return byKind.exact.size + byKind["one-label"].size + byKind["any-label"].size + byKind.all.size;
    },

    *patterns() {
      for (const entries of Object.values(byKind)) for (const entry of entries.values()) yield entry.pattern;
    },
  };
}
