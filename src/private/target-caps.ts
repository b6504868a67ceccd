import { type Address, formatAddress } from "../base/address.js";
import type { TargetCap } from "./messages.js";

/** What the settings state of a target's cap. */
export interface CapStatement {
  readonly maxConnections?: number;
  readonly queue: { readonly max: number; readonly timeoutMs: number };
}

/**
 * Gives targets with a cap their queues, by their places in the list. A queue goes with the target's first address: however
 * else a target changes, its connections still count and who waits still waits, also where the cap is lifted. What stood in
 * the settings once keeps its number, so that what is still connected there never counts as another's.
 */
export function createCapNumbers(): (
  targets: readonly (CapStatement & { readonly addresses: readonly Address[] })[],
) => readonly (TargetCap | undefined)[] {
  const queueIds = new Map<string, number>();
  return (targets) => {
    const seen = new Map<string, number>();
    return targets.map(({ addresses, maxConnections, queue: { max, timeoutMs } }) => {
      const where = formatAddress(addresses[0]!);
      const nth = seen.get(where) ?? 0;
      seen.set(where, nth + 1);
      const key = `${nth} ${where}`;
      if (maxConnections === undefined && !queueIds.has(key)) return undefined;
      const queueId = queueIds.get(key) ?? queueIds.size;
      queueIds.set(key, queueId);
      return { queueId, maxConnections: maxConnections ?? Number.POSITIVE_INFINITY, max, timeoutMs };
    });
  };
}
