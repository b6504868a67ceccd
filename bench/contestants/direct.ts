import type { Contestant } from "./contestant.js";

/** No proxy: what the load generators, the backend and the kernel cost by themselves. */
export const direct: Contestant = {
  name: "direct",
  settings: "no proxy",
  missing: () => undefined,
  start: async ({ target, leg }) => ({ port: await leg(target), programs: [], hops: [] }),
};
