import { describe, type Place, quoted, type Reading } from "./place.js";

/** What a setting may be, and how it is read. */
export interface Kind<T> {
  /** What is allowed, as it stands in problems and in the reference. */
  readonly allowed: string;
  /** The value that is in force; undefined where a problem was reported instead. */
  read(value: unknown, place: Place, reading: Reading): T | undefined;
  /** The value that an environment variable's text stands for. Absent where there is no environment form. */
  readonly fromText?: (text: string) => unknown;
}

/** A text that was understood, or what is wrong with it. */
export type Understood<T> = { readonly value: T } | { readonly problem: string };

export function expected(allowed: string, value: unknown): string {
  return `expected ${allowed}, found ${describe(value)}`;
}

/** A kind whose values are written as text. `understand` says what is wrong without repeating the text. */
export function textKind<T>(
  allowed: string,
  understand: (text: string, place: Place, reading: Reading) => Understood<T>,
): Kind<T> {
  return {
    allowed,
    read(value, place, reading) {
      if (typeof value !== "string") {
        const hint = typeof value === "number" || typeof value === "boolean" ? " (put it in quotes)" : "";
        reading.report(place, `${expected(allowed, value)}${hint}`);
        return undefined;
      }
      const understood = understand(value, place, reading);
      if ("value" in understood) return understood.value;
      reading.report(place, `${quoted(value)}: ${understood.problem}`);
      return undefined;
    },
    fromText: (text) => text,
  };
}

/** Text of `min` to `max` characters, none of them a control character. */
export function text(min: number, max: number): Kind<string> {
  const allowed = `text of ${min}-${max} characters`;
  return textKind(allowed, (value) => {
    const characters = [...value].length;
    if (characters < min || characters > max) return { problem: `expected ${allowed}, found ${characters}` };
    if (/\p{Cc}/u.test(value)) return { problem: "control characters are not allowed" };
    return { value };
  });
}

export function integer(min: number, max: number): Kind<number> {
  const allowed = `an integer in ${min}-${max}`;
  return {
    allowed,
    read(value, place, { report }) {
      if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
      report(place, expected(allowed, value));
      return undefined;
    },
    fromText: (text) => (/^-?\d+$/.test(text.trim()) ? Number(text) : text),
  };
}

/** Timers of Node hold 31 bits; a longer one would fire at once. */
const longestTimerMs = 2_147_483_647;

export function milliseconds(min: 0 | 1): Kind<number> {
  return integer(min, longestTimerMs);
}

export const flag: Kind<boolean> = {
  allowed: "true or false",
  read(value, place, { report }) {
    if (typeof value === "boolean") return value;
    report(place, expected(flag.allowed, value));
    return undefined;
  },
  fromText: (text) => (text === "true" ? true : text === "false" ? false : text),
};

export function oneOf<const T extends string>(...values: readonly T[]): Kind<T> {
  const allowed = `one of ${values.join(", ")}`;
  return {
    allowed,
    read(value, place, { report }) {
      const found = values.find((candidate) => candidate === value);
      if (found === undefined) report(place, expected(allowed, value));
      return found;
    },
    fromText: (text) => text,
  };
}

/** A list of at least `min` items; in the environment, texts with commas between them. */
export function list<T>(item: Kind<T>, min: 0 | 1 = 0): Kind<readonly T[]> {
  const allowed = `a list, each item ${item.allowed}`;
  return {
    allowed,
    read(value, place, reading) {
      if (!Array.isArray(value)) {
        reading.report(place, expected(allowed, value));
        return undefined;
      }
      if (value.length < min) {
        reading.report(place, `the list is empty, expected at least one item: ${item.allowed}`);
        return undefined;
      }
      const items = value.map((each, i) => item.read(each, place.items?.[i] ?? place, reading));
      return allRead(items) ? items : undefined;
    },
    fromText: splitAtCommas,
  };
}

/** One item, or a list of at least one. */
export function oneOrList<T>(item: Kind<T>): Kind<readonly T[]> {
  const many = list(item, 1);
  const allowed = `${item.allowed}, or a list of them`;
  return {
    allowed,
    read(value, place, reading) {
      if (Array.isArray(value)) return many.read(value, place, reading);
      const only = { ...item, allowed }.read(value, place, reading);
      return only === undefined ? undefined : [only];
    },
    fromText: splitAtCommas,
  };
}

/** A text that is not shown where it is wrong: 1-256 visible ASCII characters, as a header field can carry. */
export const secret: Kind<string> = {
  allowed: "text of 1-256 visible ASCII characters without spaces",
  read(value, place, { report }) {
    if (typeof value === "string" && /^[\x21-\x7e]{1,256}$/.test(value)) return value;
    const hint = typeof value === "number" || typeof value === "boolean" ? " (put it in quotes)" : "";
    report(place, `expected ${secret.allowed}, found something else${hint}`);
    return undefined;
  },
  fromText: (text) => text,
};

function splitAtCommas(text: string): string[] {
  return text.trim() === "" ? [] : text.split(",").map((part) => part.trim());
}

export function allRead<T>(items: readonly (T | undefined)[]): items is readonly T[] {
  return items.every((item) => item !== undefined);
}
