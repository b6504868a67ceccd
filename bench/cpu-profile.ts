/** What node --cpu-prof writes, as far as it is of use here. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  /** Microseconds of the system's monotonic clock. */
  readonly startTime: number;
  readonly samples: readonly number[];
  /** Microseconds, one for each sample. */
  readonly timeDeltas: readonly number[];
}

export interface Share {
  readonly name: string;
  /** Of the time in which the thread was not idle, 0-1. */
  readonly share: number;
}

export interface ProfileSummary {
  readonly busySeconds: number;
  /** By where the time went, largest first. */
  readonly areas: readonly Share[];
  /** By function, itself without what it calls, largest first. */
  readonly functions: readonly Share[];
}

/** Only what lies within one of the windows; where there are none, all of it. */
export function summarise(
  profile: CpuProfile,
  windows: readonly { readonly from: number; readonly to: number }[],
): ProfileSummary {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const areas = new Map<string, number>();
  const functions = new Map<string, number>();
  let busy = 0;
  let now = profile.startTime;
  for (const [at, id] of profile.samples.entries()) {
    const frame = frames.get(id);
    const spent = profile.timeDeltas[at] ?? 0;
    now += spent;
    if (windows.length > 0 && !windows.some(({ from, to }) => now >= from && now <= to)) continue;
    if (frame === undefined || spent <= 0 || isIdle(frame)) continue;
    busy += spent;
    const place = placeOf(frame.url);
    const where = place === "" ? "" : ` ${place}:${frame.lineNumber + 1}`;
    add(functions, `${frame.functionName || "(anonymous)"}${where}`, spent);
    add(areas, areaOf(frame.functionName, place), spent);
  }
  return { busySeconds: busy / 1e6, areas: shares(areas, busy), functions: shares(functions, busy) };
}

/** Waiting: in Node's own loop, or, in a data-plane worker, in epoll. */
function isIdle({ functionName, url }: { readonly functionName: string; readonly url: string }): boolean {
  return functionName === "(idle)" || (functionName === "epollWait" && url.endsWith("/epoll/libc.js"));
}

/** Paths from the project's root. */
function placeOf(url: string): string {
  return url.replace(/^file:\/\/.*?\/(dist\/|node_modules\/)/, "$1");
}

function areaOf(functionName: string, place: string): string {
  if (functionName === "(garbage collector)") return "garbage collection";
  if (functionName === "(program)") return "native code: libuv, kernel, TLS";
  if (place === "") return "native calls from JavaScript";
  if (place.startsWith("node:")) return "Node's own JavaScript (net, stream, timers)";
  const [, folder] = /^dist\/src\/([^/]+)\//.exec(place) ?? [];
  return folder === undefined ? "packages" : `our src/${folder}`;
}

function add(sums: Map<string, number>, name: string, spent: number): void {
  sums.set(name, (sums.get(name) ?? 0) + spent);
}

function shares(sums: ReadonlyMap<string, number>, whole: number): Share[] {
  return [...sums].map(([name, spent]) => ({ name, share: spent / whole })).sort((a, b) => b.share - a.share);
}
