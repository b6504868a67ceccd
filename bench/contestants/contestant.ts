import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RunningProgram } from "../processes.js";

/** Where a contestant is to be set up. */
export interface Place {
  /** The backend's port, on 127.0.0.1. */
  readonly target: number;
  /** A directory for settings, its own. */
  readonly directory: string;
  /** Certificates as `proxy certs` makes them: root, public-proxy-1, private-proxy-1. */
  readonly certificates: string;
  /**
   * The second leg: gives the port to dial in place of `port`. It lies between a public and a private side, or between a
   * proxy of one hop and its backend.
   */
  readonly leg: (port: number) => Promise<number>;
}

/** One process, with what descends from it, that every byte passes through. */
export interface Hop {
  readonly title: string;
  readonly pid: number;
}

export interface RunningContestant {
  /** Where clients connect, on 127.0.0.1. */
  readonly port: number;
  readonly programs: readonly RunningProgram[];
  /** In the order in which a client's bytes pass. */
  readonly hops: readonly Hop[];
}

export interface Contestant {
  readonly name: string;
  /** How it differs from the default settings, in a few words. */
  readonly settings: string;
  /** Letters of the cases that it takes part in; all, where it is not said. */
  readonly cases?: readonly string[];
  /** What is not here, or undefined. */
  missing(): string | undefined;
  /** Resolves when its programs run, which need not be ready. */
  start(place: Place): Promise<RunningContestant>;
}

const sources = new URL("../../../bench/", import.meta.url);

/** What is on PATH, in bench/.peers/bin, or where servers live on Debian. */
export function findProgram(name: string): string | undefined {
  const places = [
    fileURLToPath(new URL(".peers/bin", sources)),
    ...(process.env.PATH ?? "").split(delimiter),
    "/usr/sbin",
  ];
  return places.map((place) => join(place, name)).find(isExecutable);
}

export function missingPrograms(...names: readonly string[]): string | undefined {
  const missing = names.filter((name) => findProgram(name) === undefined);
  return missing.length === 0 ? undefined : missing.join(" and ");
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Fills `{{key}}` in bench/peers/TEMPLATE and writes the result to the place. Throws where a key has no value. */
export function writeSettings(
  place: Place,
  template: string,
  values: Readonly<Record<string, string | number>>,
): string {
  const text = readFileSync(new URL(`peers/${template}`, sources), "utf8").replace(
    /\{\{(\w+)\}\}/g,
    (_, key: string) => {
      const value = values[key];
      if (value === undefined) throw new Error(`${template} wants ${key}`);
      return String(value);
    },
  );
  const path = join(place.directory, template);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}
