/** What a run is to do. From the environment, or from the command line as NAME=VALUE, as make hands it on. */
export interface Options {
  /** Letters of cases. */
  readonly only: readonly string[];
  readonly rounds: number;
  readonly quick: boolean;
  readonly profile: boolean;
  /** Engines of our pair: a column each. */
  readonly engines: readonly string[];
  /** Starts of the names of those to run; empty: all. */
  readonly against: readonly string[];
  /** How long one sample is taken, and what precedes it. */
  readonly windowMs: number;
  readonly warmUpMs: number;
}

export const caseLetters = ["a", "b", "c", "d", "e", "f", "g"] as const;
/** Both: what one of them costs is seen beside the other. */
export const defaultEngines = "epoll,node";
const names = ["ONLY", "ROUNDS", "QUICK", "PROFILE", "ENGINES", "AGAINST"];

export type ParsedOptions =
  | { readonly status: "ok"; readonly options: Options }
  | { readonly status: "invalid"; readonly problem: string };

/** An empty value is as good as none: make passes those on. */
export function parseOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): ParsedOptions {
  const given: Record<string, string | undefined> = {};
  for (const name of names) given[name] = environment[name] || undefined;
  for (const arg of args) {
    const [name, value] = split(arg);
    if (!names.includes(name)) return invalid(`${arg}: options are ${names.map((one) => `${one}=`).join(" ")}`);
    given[name] = value || undefined;
  }
  const quick = isOn(given.QUICK);
  const rounds = Number(given.ROUNDS ?? (quick ? 2 : 3));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100)
    return invalid(`ROUNDS=${given.ROUNDS}: a number in 1-100`);
  const only = given.ONLY === undefined ? [...caseLetters] : given.ONLY.split(",");
  const unknown = only.find((letter) => !caseLetters.includes(letter as (typeof caseLetters)[number]));
  if (unknown !== undefined)
    return invalid(`ONLY=${given.ONLY}: letters of ${caseLetters.join(",")} with commas between them`);
  const engines = (given.ENGINES ?? defaultEngines).split(",");
  const against = given.AGAINST?.split(",") ?? [];
  const times = quick ? { windowMs: 350, warmUpMs: 150 } : { windowMs: 1500, warmUpMs: 400 };
  return { status: "ok", options: { only, rounds, quick, profile: isOn(given.PROFILE), engines, against, ...times } };
}

function split(arg: string): [string, string] {
  const at = arg.indexOf("=");
  return at === -1 ? [arg, "1"] : [arg.slice(0, at), arg.slice(at + 1)];
}

function isOn(value: string | undefined): boolean {
  return value !== undefined && value !== "0";
}

function invalid(problem: string): ParsedOptions {
  return { status: "invalid", problem };
}
