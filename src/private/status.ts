import type { TargetStatus } from "../admin/status.js";
import { formatAddress } from "../base/address.js";
import type { Attachment } from "./attachment.js";
import type { Health } from "./health.js";
import type { QueueLoad } from "./queue-board.js";
import type { NumberedServer, NumberedTarget } from "./target-book.js";

export interface AttachmentStatus {
  /** As the settings name it. */
  readonly publicProxy: string;
  /** One of the addresses that the name has; null where none is known. */
  readonly address: string | null;
  readonly state: Attachment["state"]["state"] | "draining";
  readonly nodeName: string | null;
  readonly since: string | null;
  readonly why: string | null;
  readonly retryAt: string | null;
}

/** How a public proxy is attached at one of its addresses; and a line for each session with one that is about to stop there. */
export function attachmentStatus(
  publicProxy: string,
  address: string | null,
  { state, draining }: Pick<Attachment, "state" | "draining">,
): AttachmentStatus[] {
  const current: AttachmentStatus = {
    publicProxy,
    address,
    state: state.state,
    nodeName: state.state === "attached" ? state.welcome.nodeName : null,
    since: state.state === "attached" ? state.since.toISOString() : null,
    why: state.state === "waiting" || state.state === "standby" ? state.why : null,
    retryAt: state.state === "waiting" ? state.retryAt.toISOString() : null,
  };
  const old = draining.map(({ welcome, since }): AttachmentStatus => {
    const { nodeName } = welcome;
    return { publicProxy, address, state: "draining", nodeName, since: since.toISOString(), why: null, retryAt: null };
  });
  return [current, ...old];
}

/** A name that has no address, or none yet. */
export function missingStatus(name: {
  readonly host: string;
  readonly port: number;
  readonly why: string | undefined;
  readonly retryAt: Date | undefined;
}): AttachmentStatus[] {
  const { why, retryAt } = name;
  const state: Attachment["state"] =
    why === undefined || retryAt === undefined ? { state: "connecting" } : { state: "waiting", why, retryAt };
  return attachmentStatus(formatAddress({ kind: "tcp", host: name.host, port: name.port }), null, {
    state,
    draining: [],
  });
}

/** A target's addresses: how they are, and what they have to do. */
export function targetStatus(
  { names, servers, cap }: NumberedTarget,
  healthOf: (server: NumberedServer) => Health,
  { connections, queueLoad }: { connections(slot: number): number; queueLoad(queueId: number): QueueLoad },
): TargetStatus {
  const addresses = servers.map((server) => {
    const health = healthOf(server);
    const live = server.slot === undefined ? null : connections(server.slot);
    return { address: server.text, state: health.state, why: health.state === "down" ? health.why : null, live };
  });
  return { names, addresses, queue: cap === undefined ? null : queueLoad(cap.queueId) };
}
