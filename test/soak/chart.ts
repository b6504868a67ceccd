import type { Sample } from "./samples.js";

export interface Series {
  /** Seconds since the load began. */
  readonly at: number;
  readonly public: Sample;
  readonly private: Sample;
}

interface Panel {
  readonly title: string;
  readonly of: (sample: Sample) => number;
}

const panels: readonly Panel[] = [
  { title: "memory (RSS), MiB", of: ({ rssMiB }) => rssMiB },
  { title: "heap of the main thread, MiB", of: ({ heapMiB }) => heapMiB },
  { title: "descriptors", of: ({ descriptors }) => descriptors },
  { title: "live connections", of: ({ live }) => live },
  { title: "timers of the main thread", of: ({ timers }) => timers },
  { title: "parked dial-backs", of: ({ pooled }) => pooled },
];

const width = 760;
const left = 64;
const plotWidth = width - left - 16;
const plotHeight = 90;
const panelHeight = plotHeight + 44;

/** An SVG, readable on light and on dark ground: a panel for each figure, a line for each process, from zero. */
export function drawSoak(series: readonly Series[], caption: string): string {
  const lastAt = Math.max(1, ...series.map(({ at }) => at));
  const parts = panels.flatMap(({ title, of }, place) => {
    const top = 24 + place * panelHeight;
    const most = Math.max(1, ...series.flatMap((one) => [of(one.public), of(one.private)]));
    const line = (role: "public" | "private") =>
      series
        .map((one) => {
          const x = left + (one.at / lastAt) * plotWidth;
          const y = top + 10 + plotHeight * (1 - of(one[role]) / most);
          return `${x.toFixed(1)},${y.toFixed(1)}`;
        })
        .join(" ");
    return [
      `<text class="title" x="8" y="${top}">${escapeXml(title)}</text>`,
      `<path class="axis" d="M${left} ${top + 10}V${top + 10 + plotHeight}H${left + plotWidth}"/>`,
      `<text x="${left - 8}" y="${top + 20}" text-anchor="end">${most}</text>`,
      `<text x="${left - 8}" y="${top + 10 + plotHeight}" text-anchor="end">0</text>`,
      `<polyline class="public" points="${line("public")}"/>`,
      `<polyline class="private" points="${line("private")}"/>`,
    ];
  });
  const bottom = 24 + panels.length * panelHeight;
  const style =
    "text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}.axis{stroke:#9aa4b0;fill:none}" +
    "polyline{fill:none;stroke-width:2}.public{stroke:#1a7f64}.private{stroke:#b35900}" +
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.public{stroke:#3fb68b}.private{stroke:#f0883e}}";
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom + 16}" width="${width}" height="${bottom + 16}" role="img">`,
    `<style>${style}</style>`,
    ...parts,
    `<text x="8" y="${bottom}">${escapeXml(caption)}; green: public proxy, orange: private proxy; ${Math.round(lastAt)} s</text>`,
    "</svg>\n",
  ].join("\n");
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
