import type { ChaosReport } from "./run.js";

/** A table of what was done and counted, and then what was violated. */
export function printReport(engine: string, report: ChaosReport, say: (line: string) => void): void {
  const { faults, totals, before, after, starved, violations, dir } = report;
  const row = (...cells: readonly (string | number)[]) =>
    say(
      `  ${String(cells[0]).padEnd(34)}${cells
        .slice(1)
        .map((cell) => String(cell).padStart(10))
        .join("")}`,
    );
  say(`\n${engine}: what was done`);
  for (const [what, count] of sorted(faults)) row(what, count);
  row("accepting paused, no descriptors", starved);
  say(`${engine}: what became of ${totals.operations} clients (${Math.round(totals.bytes / 1e6)} MB, all checked)`);
  for (const [what, count] of sorted(totals.outcomes)) row(what, count);
  say(`${engine}: before and after`);
  row("", "fds", "fds", "MiB", "MiB");
  for (const [name, first] of before) {
    const last = after.get(name);
    row(name, first.descriptors, last?.descriptors ?? "-", first.rssMiB, last?.rssMiB ?? "-");
  }
  for (const violation of violations.slice(0, 50)) say(`VIOLATED (${engine}): ${violation}`);
  if (violations.length > 50) say(`and ${violations.length - 50} more`);
  if (violations.length > 0) say(`settings and logs are in ${dir}`);
}

function sorted<K extends string>(counts: ReadonlyMap<K, number>): readonly (readonly [K, number])[] {
  return [...counts].toSorted(([a], [b]) => a.localeCompare(b));
}
