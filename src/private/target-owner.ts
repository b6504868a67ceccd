import type { TargetFacts } from "./messages.js";

/**
 * The worker to which all connections to a target go, because only one can count them and know who came first; undefined
 * where any worker will do, for there is no cap. While that worker is not there nobody takes its place, or two would count
 * as soon as it is back: clients are declined.
 */
export function ownerOf({ cap }: Pick<TargetFacts, "cap">, workers: number): number | undefined {
  return cap === undefined || cap.maxConnections === Number.POSITIVE_INFINITY ? undefined : cap.queueId % workers;
}
