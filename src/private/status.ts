import type { TargetStatus } from "../admin/status.js";
import type { Attachment } from "./attachment.js";
import type { Health } from "./health.js";
import type { QueueLoad } from "./queue-board.js";
import type { NumberedServer, NumberedTarget } from "./target-book.js";

export interface AttachmentStatus {
  readonly publicProxy: string;
  readonly state: Attachment["state"]["state"];
  readonly nodeName: string | null;
  readonly since: string | null;
  readonly why: string | null;
  readonly retryAt: string | null;
}

/** How a public proxy is attached. */
export function attachmentStatus(publicProxy: string, { state }: Attachment): AttachmentStatus {
  return {
    publicProxy,
    state: state.state,
    nodeName: state.state === "attached" ? state.welcome.nodeName : null,
    since: state.state === "attached" ? state.since.toISOString() : null,
    why: state.state === "waiting" ? state.why : null,
    retryAt: state.state === "waiting" ? state.retryAt.toISOString() : null,
  };
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
