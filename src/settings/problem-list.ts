import { type Place, problemAt } from "./place.js";
import type { SettingsProblem } from "./problem.js";

/** The problems of one load, gathered as they are found. */
export interface ProblemList {
  /** Keeps the first problem of each key at each place: what follows there follows from it. */
  report(place: Place, problem: string): void;
  /** In the order of the files and of the lines in them; what has no position stands first, the environment last. */
  inOrderOf(files: readonly string[]): SettingsProblem[];
  readonly size: number;
}

export function problemList(): ProblemList {
  const problems = new Map<string, SettingsProblem>();
  return {
    report(place, problem) {
      const { file, line, column, key } = place;
      const at = JSON.stringify([file, line, column, key]);
      if (!problems.has(at)) problems.set(at, problemAt(place, problem));
    },
    inOrderOf(files) {
      const order = new Map(files.map((file, i) => [file, i]));
      const rank = ({ file }: SettingsProblem) => order.get(file) ?? files.length;
      return [...problems.values()].sort(
        (a, b) => rank(a) - rank(b) || (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
      );
    },
    get size() {
      return problems.size;
    },
  };
}
