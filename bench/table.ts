import type { CaseResult, Row } from "./figures.js";
import type { Spread } from "./statistics.js";

/** Markdown that is aligned as well: one table for each variant of a case. Median, and how far it is to be trusted. */
export function formatCase({ letter, title, figures, rows }: CaseResult): string {
  const variants = [...new Set(rows.map(({ variant }) => variant))];
  return variants
    .map((variant) => {
      const ofVariant = rows.filter((row) => row.variant === variant);
      const shown = figures.filter(({ key }) => ofVariant.some((row) => row.figures[key] !== undefined));
      const head = ["", ...shown.map((figure) => figure.title), "limited by"];
      const body = ofVariant.map((row) => [
        row.contestant,
        ...shown.map(({ key }) => formatSpread(row.figures[key])),
        lastCell(row),
      ]);
      return `### ${letter}. ${title}: ${variant}\n\n${align([head, ...body])}\n`;
    })
    .join("\n");
}

function lastCell({ limits, problems }: Row): string {
  const problem = problems[0]?.split("\n")[0];
  return [...limits, ...(problem === undefined ? [] : [`FAILED: ${problem}`])].join(", ").replaceAll("|", "/");
}

export function formatSpread(spread: Spread | undefined): string {
  if (spread === undefined) return "-";
  const { median, plusMinus, values } = spread;
  return values.length === 1 ? formatNumber(median) : `${formatNumber(median)} ±${formatNumber(plusMinus)}`;
}

/** Three digits that mean something; more only before the point. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

function align(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(" | ")} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [line(rows[0]!), rule, ...rows.slice(1).map(line)].join("\n");
}
