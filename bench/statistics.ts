/** What several rounds say of one figure. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Half of the interval in which the mean lies with 95 % certainty, by Student's t; NaN of a single value. */
  readonly plusMinus: number;
  readonly values: readonly number[];
}

/** Of an even number the mean of the two in the middle. Throws where there is none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error("the median of no values");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function spreadOf(values: readonly number[]): Spread {
  const plusMinus = confidence95(values);
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), plusMinus, values };
}

/** Student's t for 95 % on both sides, by degrees of freedom from 1 on. */
const studentsT = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
];
/** For more than stand there: too much by less than a tenth. */
const studentsTBeyond = 2.131;

/**
 * From least to most, three rounds look closer than they are: of two runs, every fifth figure would lie outside the
 * other's. This interval is as wide as so few rounds deserve.
 */
function confidence95(values: readonly number[]): number {
  const count = values.length;
  if (count < 2) return Number.NaN;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  return ((studentsT[count - 2] ?? studentsTBeyond) * Math.sqrt(variance)) / Math.sqrt(count);
}

/** The smallest value that at least this share (0-1) of all values do not exceed; NaN of none. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}
