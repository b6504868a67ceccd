import { resolve } from "node:path";
import convict from "convict";
import { readEnvironment, settingsVariable, variableOf } from "./environment.js";
import { type Gathered, gather, isBroken, placeOfMissing, type Role } from "./gather.js";
import { locateSettings } from "./locate.js";
import type { Place, Placed, Reading } from "./place.js";
import { privateRefusals, privateSchema } from "./private-schema.js";
import type { LoadResult } from "./problem.js";
import { problemList } from "./problem-list.js";
import { publicSchema } from "./public-schema.js";
import { readSettingsFile } from "./read-file.js";
import { type Found, relate } from "./relations.js";
import { isSetting, type Schema, type Setting, type Values } from "./schema.js";
import type { PrivateSettings, PublicSettings } from "./types.js";

export interface LoadOptions {
  /** A file or a directory; without it PROXY_SETTINGS names one. */
  readonly path?: string | undefined;
  /** The environment, where it is not this process's. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** False for a command that only wants to know where a proxy is found: certificates and keys may then be unreadable. */
  readonly checkFiles?: boolean | undefined;
}

const publicTitle = "public proxy";
const privateTitle = "private proxy";

/** Reads and checks a public proxy's settings. Never throws for what is wrong with them: all problems come at once. */
export function loadPublicSettings(options: LoadOptions): LoadResult<PublicSettings> {
  const other = { title: privateTitle, schema: privateSchema };
  return load<typeof publicSchema>({ title: publicTitle, schema: publicSchema, refusals: {}, other }, options);
}

/** The same for a private proxy. */
export function loadPrivateSettings(options: LoadOptions): LoadResult<PrivateSettings> {
  const other = { title: publicTitle, schema: publicSchema };
  const refusals = privateRefusals;
  return load<typeof privateSchema>({ title: privateTitle, schema: privateSchema, refusals, other }, options);
}

function load<S extends Schema>(role: Role, options: LoadOptions): LoadResult<Values<S>> {
  const env = options.env ?? process.env;
  const path = options.path ?? env[settingsVariable];
  if (path === undefined || path === "") {
    const problem = "no settings are given, expected a file or a directory here or in --settings";
    return { status: "invalid", problems: [{ file: settingsVariable, key: "", problem }] };
  }
  const located = locateSettings(path);
  if ("problem" in located) {
    return { status: "invalid", problems: [{ file: path, key: "", problem: located.problem }] };
  }
  const { files } = located;
  const problems = problemList();
  const reading: Reading = { report: problems.report, checkFiles: options.checkFiles ?? true };
  const read = files.map((file) => readSettingsFile(file, reading));
  const readable = read.filter((file) => file !== undefined);
  const gathered = gather(role, readable, reading);
  const environment = readEnvironment(role, env, reading);
  const found = evaluate({ role, gathered, whole: readable.length === files.length, environment, reading });
  relate(found, reading);
  if (problems.size > 0) return { status: "invalid", problems: problems.inOrderOf(files) };
  return {
    status: "ok",
    settings: nest(role.schema, found.values) as Values<S>,
    files: files.map((file) => resolve(file)),
  };
}

// Under a name that convict does not know it converts nothing by itself: it would take "10 minutes" for the number 10.
convict.addFormat({ name: "setting", validate: (value, item) => item.check(value) });

interface Evaluation {
  readonly role: Role;
  readonly gathered: Gathered;
  /** Whether every file could be read: else nothing can be said to be missing. */
  readonly whole: boolean;
  readonly environment: ReadonlyMap<string, Placed>;
  readonly reading: Reading;
}

/**
 * Convict lays files over defaults and the environment over both, and asks each setting's kind what it makes of the
 * value. Problems are reported with their places, not thrown: convict would make one text of them, without positions.
 */
function evaluate({ role, gathered, whole, environment, reading }: Evaluation): Found {
  const values = new Map<string, unknown>();
  const places = new Map<string, Place>();

  function check(key: string, setting: Setting, value: unknown): void {
    const written = environment.get(variableOf(key)) ?? gathered.values.get(key);
    if (written !== undefined) places.set(key, written.place);
    else if (isBroken(gathered, key)) return;
    else if (setting.presence === "required") {
      const instead = setting.kind.fromText === undefined ? "" : ` (here or as ${variableOf(key)})`;
      const problem = `is missing, expected ${setting.kind.allowed}${instead}`;
      if (whole) reading.report(placeOfMissing(gathered, key), problem);
      return;
    }
    const read = setting.kind.read(value, written?.place ?? placeOfMissing(gathered, key), reading);
    if (read !== undefined) values.set(key, read);
  }

  const env = Object.fromEntries(plain(environment)) as NodeJS.ProcessEnv;
  const config = convict<Record<string, unknown>>(convictSchema(role.schema, check), { env, args: [] });
  config.load(nest(role.schema, plain(gathered.values)));
  config.validate({ allowed: "strict" });
  return { values, places };
}

type Check = (key: string, setting: Setting, value: unknown) => void;

function convictSchema(schema: Schema, check: Check, prefix = ""): convict.Schema<Record<string, unknown>> {
  const entries = Object.entries(schema).map(([name, node]) => {
    const key = `${prefix}${name}`;
    if (!isSetting(node)) return [name, convictSchema(node, check, `${key}.`)];
    // Null is what convict's documentation recommends for "required"; undefined is "optional" and is not checked.
    const value = node.presence === "required" ? null : node.default;
    const env = node.kind.fromText === undefined ? {} : { env: variableOf(key) };
    const own = { check: (found: unknown) => check(key, node, found), sensitive: node.secret === true };
    return [name, { doc: node.doc, format: "setting", default: value, ...env, ...own }];
  });
  return Object.fromEntries(entries);
}

function plain(placed: ReadonlyMap<string, Placed>): ReadonlyMap<string, unknown> {
  return new Map([...placed].map(([key, { value }]) => [key, value]));
}

/** From key paths, all of which stand in the schema, to maps within maps. */
function nest(schema: Schema, values: ReadonlyMap<string, unknown>, prefix = ""): Record<string, unknown> {
  const entries = Object.entries(schema).flatMap(([name, node]) => {
    const key = `${prefix}${name}`;
    if (!isSetting(node)) return [[name, nest(node, values, `${key}.`)]];
    return values.has(key) ? [[name, values.get(key)]] : [];
  });
  return Object.fromEntries(entries);
}
