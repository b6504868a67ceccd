import { messageOf } from "../src/base/errors.js";
import type { Row, RowsBuilder, Sample } from "./figures.js";
import { rowsBuilder } from "./figures.js";
import type { Bench, Stage, Standing } from "./stage.js";

export interface Taken {
  readonly sample: Sample;
  readonly limit: string;
}

/**
 * Takes every variant from every contestant in turn, round after round: what the machine does beside falls on all alike.
 * Each round begins with another one. A sample that fails is noted in its row and does not end the run.
 */
export async function inRounds<Variant extends { readonly name: string }>(
  bench: Bench,
  stage: Stage,
  variants: readonly Variant[],
  take: (standing: Standing, variant: Variant) => Promise<Taken>,
  { warmUp = true }: { readonly warmUp?: boolean } = {},
): Promise<Row[]> {
  const builder: RowsBuilder = rowsBuilder();
  const names = bench.contestants.map(({ name }) => name);
  for (const { contestant, problem } of stage.failed)
    for (const { name } of variants) builder.problem(name, contestant.name, problem);
  if (warmUp)
    // Once without counting it: programs whose code is compiled as it runs are to be measured as they run later.
    for (const standing of stage.standing) await take(standing, variants[0]!).catch(() => {});
  for (let round = 0; round < bench.options.rounds; round++) {
    for (const variant of variants) {
      for (const standing of rotated(stage.standing, round)) {
        const { name } = standing.contestant;
        try {
          const { sample, limit } = await take(standing, variant);
          builder.add(variant.name, name, sample, limit);
        } catch (error) {
          builder.problem(variant.name, name, messageOf(error));
          bench.say(`${name}, ${variant.name}: ${messageOf(error)}`);
        }
      }
    }
  }
  return builder.rows(names);
}

export function rotated<T>(items: readonly T[], by: number): T[] {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}
