import type { CaseResult } from "./figures.js";
import { formatNumber } from "./table.js";

/** One group of bars: one figure of one variant. `variant` is how it begins; the first that fits is taken. */
interface Panel {
  readonly letter: string;
  readonly variant?: string;
  readonly key: string;
  readonly title: string;
}

const panels: readonly Panel[] = [
  {
    letter: "a",
    variant: "1 stream down",
    key: "hop1",
    title: "bulk, 1 stream: GB per CPU-second of the first hop (more is better)",
  },
  { letter: "b", key: "hop1", title: "new connection: CPU-microseconds of the first hop (less is better)" },
  { letter: "c", key: "hop1", title: "200 B there and back: CPU-microseconds of the first hop (less is better)" },
  { letter: "d", key: "first1", title: "silent connection: KiB of memory of the first hop (less is better)" },
  { letter: "e", key: "p50", title: "first byte with 25 ms on either leg: milliseconds (less is better)" },
  { letter: "f", key: "rate", title: "HTTPS requests per second (more is better)" },
];

const width = 760;
const nameWidth = 142;
const barWidth = 428;
const rowHeight = 20;
const panelGap = 22;

/** An SVG, readable on light and on dark ground: bars are medians, the line across each end goes from least to most. */
export function drawChart(results: readonly CaseResult[], caption: string): string {
  const parts: string[] = [];
  let y = 24;
  for (const { letter, variant, key, title } of panels) {
    const rows = results
      .filter((result) => result.letter === letter)
      .flatMap((result) => result.rows)
      .filter((row) => row.figures[key] !== undefined && row.variant.startsWith(variant ?? ""));
    if (rows.length === 0) continue;
    const most = Math.max(...rows.map((row) => row.figures[key]!.max));
    const scale = most > 0 ? barWidth / most : 0;
    parts.push(`<text class="title" x="8" y="${y}">${escapeXml(title)}</text>`);
    y += 10;
    for (const { contestant, figures } of rows) {
      const { median, min, max } = figures[key]!;
      const middle = y + rowHeight / 2;
      const x = (value: number) => (nameWidth + Math.max(0, value) * scale).toFixed(1);
      const own = contestant.startsWith("ours") ? "own" : "other";
      parts.push(
        `<text x="${nameWidth - 8}" y="${middle + 4}" text-anchor="end">${escapeXml(contestant)}</text>`,
        `<rect class="${own}" x="${nameWidth}" y="${y + 3}" width="${(Math.max(0, median) * scale).toFixed(1)}" height="${rowHeight - 6}"/>`,
        `<path class="spread" d="M${x(min)} ${middle}H${x(max)}M${x(min)} ${middle - 4}v8M${x(max)} ${middle - 4}v8"/>`,
        `<text x="${nameWidth + barWidth + 12}" y="${middle + 4}">${formatNumber(median)} (${formatNumber(min)}-${formatNumber(max)})</text>`,
      );
      y += rowHeight;
    }
    y += panelGap;
  }
  parts.push(`<text class="caption" x="8" y="${y}">${escapeXml(caption)}</text>`);
  const style =
    "text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}.caption{font-size:11px;fill:#59636e}" +
    ".own{fill:#1a7f64}.other{fill:#9aa4b0}.spread{stroke:#1f2328;fill:none}" +
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.caption{fill:#9198a1}.own{fill:#3fb68b}.other{fill:#5b6672}.spread{stroke:#e6edf3}}";
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 14}" width="${width}" height="${y + 14}" role="img">`,
    `<style>${style}</style>`,
    ...parts,
    "</svg>\n",
  ].join("\n");
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
