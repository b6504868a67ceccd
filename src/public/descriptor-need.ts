import type { PublicSettings } from "../settings/types.js";

/** Listening sockets, epoll descriptors and wake-ups of the workers, files, logs, mesh sessions and admin. */
const allElse = 256;
const perWorker = 16;

/**
 * Descriptors of a public proxy that is at all its limits: two for each connection, one for each dial-back that one private
 * proxy may park, two for each pipe. How many private proxies will come nobody knows; but few park as many as they may.
 */
export function descriptorNeed(
  { limits, transport }: Pick<PublicSettings, "limits" | "transport">,
  engine: "epoll" | "node",
  workers: number,
): number {
  const pipes = engine === "epoll" ? 2 * transport.maxPipes * workers + perWorker * workers : 0;
  return 2 * limits.connections + limits.pooledPerPrivateProxy + pipes + allElse;
}
