import { setTimeout as pause } from "node:timers/promises";

const patienceMs = 15_000;

/** Resolves when `holds` says so: for figures that nobody tells of. Rejects with what `found` says after 15 s. */
export async function until(holds: () => boolean, found: () => unknown = () => ""): Promise<void> {
  const giveUpAt = performance.now() + patienceMs;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`it did not come within ${patienceMs} ms: ${String(found())}`);
    await pause(5);
  }
}
