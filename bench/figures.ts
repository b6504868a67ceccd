import { type Spread, spreadOf } from "./statistics.js";

/** A column of a case's table. */
export interface Figure {
  readonly key: string;
  /** With its unit. */
  readonly title: string;
}

/** What one sample says, by the figure's key. What does not apply is left out. */
export type Sample = Readonly<Record<string, number>>;

export interface Row {
  readonly variant: string;
  readonly contestant: string;
  readonly figures: Readonly<Record<string, Spread>>;
  /** What each round was limited by. */
  readonly limits: readonly string[];
  readonly problems: readonly string[];
}

export interface CaseResult {
  readonly letter: string;
  readonly title: string;
  readonly figures: readonly Figure[];
  readonly rows: readonly Row[];
}

export interface RowsBuilder {
  add(variant: string, contestant: string, sample: Sample, limit: string): void;
  problem(variant: string, contestant: string, problem: string): void;
  /** By variant, then in the order of the contestants given. */
  rows(order: readonly string[]): Row[];
}

export function rowsBuilder(): RowsBuilder {
  const byKey = new Map<
    string,
    { variant: string; contestant: string; samples: Sample[]; limits: string[]; problems: string[] }
  >();

  function entry(variant: string, contestant: string) {
    const key = JSON.stringify([variant, contestant]);
    const found = byKey.get(key) ?? { variant, contestant, samples: [], limits: [], problems: [] };
    byKey.set(key, found);
    return found;
  }

  return {
    add(variant, contestant, sample, limit) {
      const { samples, limits } = entry(variant, contestant);
      samples.push(sample);
      limits.push(limit);
    },
    problem: (variant, contestant, problem) => void entry(variant, contestant).problems.push(problem),
    rows(order) {
      const variants = [...new Set([...byKey.values()].map(({ variant }) => variant))];
      const sorted = [...byKey.values()].sort(
        (a, b) =>
          variants.indexOf(a.variant) - variants.indexOf(b.variant) ||
          order.indexOf(a.contestant) - order.indexOf(b.contestant),
      );
      return sorted.map(({ variant, contestant, samples, limits, problems }) => {
        const keys = new Set(samples.flatMap((sample) => Object.keys(sample)));
        const figures: Record<string, Spread> = {};
        for (const key of keys) {
          const values = samples.map((sample) => sample[key]).filter((value) => value !== undefined);
          if (values.every(Number.isFinite)) figures[key] = spreadOf(values);
        }
        return { variant, contestant, figures, limits: [...new Set(limits)], problems: [...new Set(problems)] };
      });
    },
  };
}
