import type { SettingsProblem } from "./problem.js";

/** Where a value stands, kept beside the value itself, so that every problem can name its position. */
export interface Place {
  /** The key path, such as `targets[0].names[1]`. */
  readonly key: string;
  /** The file as the caller named it, or the environment variable. */
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  /** What relative paths in the value are relative to. */
  readonly directory: string;
  /** The places of a list's items. */
  readonly items?: readonly Place[];
  /** The places of a map's keys and values. */
  readonly entries?: ReadonlyMap<string, { readonly key: Place; readonly value: Place }>;
}

/** A value as it stands in a file or a variable. Lists are arrays and maps are `Map`s, so no key can touch a prototype. */
export interface Placed {
  readonly value: unknown;
  readonly place: Place;
}

/** What the readers of values share. */
export interface Reading {
  report(place: Place, problem: string): void;
  /** Whether the files that settings name must exist and be readable. */
  readonly checkFiles: boolean;
}

export function problemAt({ key, file, line, column }: Place, problem: string): SettingsProblem {
  return line === undefined || column === undefined ? { file, key, problem } : { file, line, column, key, problem };
}

const longestShown = 80;

/** A text in quotes and of bounded length, for a problem's line. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > longestShown ? `${text.slice(0, longestShown)}…` : text);
}

/** What was found where something else was expected. */
export function describe(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Map) return "a map";
  return typeof value === "string" ? quoted(value) : `the ${typeof value} ${value}`;
}
