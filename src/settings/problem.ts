/** One thing that is wrong with the settings. */
export interface SettingsProblem {
  /** The file as the caller named it, or the environment variable. */
  readonly file: string;
  /** From 1; absent for an environment variable and for a file that cannot be read at all. */
  readonly line?: number;
  /** From 1, in UTF-16 units; there where `line` is. */
  readonly column?: number;
  /** The key path, such as `targets[0].names[1]`; empty where the problem is about no key. */
  readonly key: string;
  /** What is wrong, and what is allowed. Never shows the value of a secret. */
  readonly problem: string;
}

export type LoadResult<T> =
  | {
      readonly status: "ok";
      readonly settings: T;
      /** The files that were read, as absolute paths. */
      readonly files: string[];
    }
  | { readonly status: "invalid"; readonly problems: SettingsProblem[] };

/** One line: `file:line:column key: what is wrong, what is allowed`. A variable stands in the place of the file. */
export function formatProblem({ file, line, column, key, problem }: SettingsProblem): string {
  const where = line === undefined ? file : `${file}:${line}:${column ?? 1}`;
  const text = key === "" ? `${where}: ${problem}` : `${where} ${key}: ${problem}`;
  // Keys and file names may hold anything; a line stays a line, and a terminal is told nothing.
  return text.replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
