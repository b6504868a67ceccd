import { seededRandom } from "../fuzz/random.js";

/** What is done to whom, when, and for how long. `at` and `forMs` in milliseconds. */
export type Fault = { readonly at: number; readonly forMs: number } & (
  | { readonly what: "kill" | "stop"; readonly victim: number }
  | { readonly what: "blackHole" | "slow" | "cut"; readonly link: number; readonly ways: readonly Way[] }
  | { readonly what: "reset"; readonly link: number; readonly ways: readonly Way[] }
  | {
      readonly what: "halfOpen";
      readonly link: number;
      readonly ways: readonly Way[];
      readonly left: "dialler" | "listener";
    }
  | { readonly what: "crowd"; readonly clients: number }
);

export type Way = "mesh" | "rendezvous";
export type FaultKind = Fault["what"];

/** How often each kind comes, beside the others, and how long it lasts. */
const kinds: readonly {
  readonly what: FaultKind;
  readonly share: number;
  readonly forMs: readonly [number, number];
}[] = [
  { what: "kill", share: 4, forMs: [0, 1500] },
  { what: "stop", share: 4, forMs: [300, 4000] },
  { what: "blackHole", share: 4, forMs: [300, 6000] },
  { what: "slow", share: 2, forMs: [1000, 4000] },
  { what: "cut", share: 2, forMs: [300, 3000] },
  { what: "reset", share: 4, forMs: [0, 0] },
  { what: "halfOpen", share: 3, forMs: [500, 4000] },
  { what: "crowd", share: 1, forMs: [2000, 4000] },
];
const gapMs = [100, 900] as const;
const crowdClients = [150, 300] as const;

/**
 * The faults of one run, in order; all are over after `ms`. The same seed gives the same faults. Nobody has two at once: a
 * victim that is already struck is spared, which makes it another time's.
 */
export function planFaults(options: { seed: number; ms: number; victims: number; links: number }): readonly Fault[] {
  const { seed, ms, victims, links } = options;
  const random = seededRandom(seed);
  const between = ([least, most]: readonly [number, number]) => least + random.below(most - least + 1);
  const deck = kinds.flatMap((kind) => Array.from({ length: kind.share }, () => kind));
  const busyUntil = new Map<string, number>();
  const faults: Fault[] = [];

  for (let at = between(gapMs); at < ms; at += between(gapMs)) {
    const { what, forMs: bounds } = random.pick(deck);
    const forMs = Math.min(between(bounds), ms - at);
    const victim = random.below(victims);
    const link = random.below(links);
    const ways = random.pick<readonly Way[]>([["mesh"], ["rendezvous"], ["rendezvous"], ["mesh", "rendezvous"]]);
    const left = random.pick(["dialler", "listener"] as const);
    const clients = between(crowdClients);
    const struck =
      what === "crowd" ? "crowd" : what === "kill" || what === "stop" ? `process ${victim}` : `link ${link}`;
    if ((busyUntil.get(struck) ?? 0) > at) continue;
    busyUntil.set(struck, at + forMs + 1);
    if (what === "kill" || what === "stop") faults.push({ what, at, forMs, victim });
    else if (what === "crowd") faults.push({ what, at, forMs, clients });
    else if (what === "halfOpen") faults.push({ what, at, forMs, link, ways, left });
    else faults.push({ what, at, forMs, link, ways });
  }
  return faults;
}
