import type { ReasonCode } from "../base/reasons.js";

export interface WorkerStatus {
  readonly worker: number;
  readonly state: "running" | "restarting";
  /** How often it has ended unasked, and was replaced. */
  readonly restarts: number;
  /** Connections. */
  readonly live: number;
}

/** Where a private proxy sends the clients of some names. */
export interface TargetStatus {
  readonly names: readonly string[];
  readonly addresses: readonly {
    readonly address: string;
    /** `unchecked`: there is no health check, or it has not come to a result yet. */
    readonly state: "unchecked" | "up" | "down";
    /** Where it is down. */
    readonly why: string | null;
    /** Connections; null where they are not counted. */
    readonly live: number | null;
  }[];
  /** Where there is a cap: connections that count towards it, and clients that wait. */
  readonly queue: { readonly live: number; readonly queued: number } | null;
}

/** Draining: no new clients, those that are served go on for a while. */
export type RunState = "serving" | "draining" | "stopped";

/** What `/status` answers. Fields are added, never renamed; `version` rises when that is not enough. */
export interface Status {
  readonly version: 1;
  readonly role: "public" | "private";
  readonly name: string;
  readonly ready: boolean;
  readonly attachments: readonly Readonly<Record<string, unknown>>[];
  readonly announcements: readonly Readonly<Record<string, unknown>>[];
  /** Of a private proxy. */
  readonly targets?: readonly TargetStatus[];
  readonly connections: { readonly opened: number; readonly closed: number; readonly live: number };
  readonly refused: Partial<Record<ReasonCode, number>>;
  readonly bytes: { readonly up: number; readonly down: number };
  /** Parked for clients to come; on the private side, those on their way to it too. */
  readonly pooledDialBacks: number;
  readonly software: string;
  readonly startedAt: string;
  readonly state: RunState;
  readonly listening: Readonly<Record<string, readonly string[]>>;
  readonly engine: "epoll" | "node";
  /** Threads that move bytes. Empty where the engine has none. */
  readonly workers: readonly WorkerStatus[];
}

/** The status with the fields that are promised first, in the promised order. */
export function inPromisedOrder(status: Status): Status {
  const { version, role, name, ready, attachments, announcements, connections, refused, ...rest } = status;
  return { version, role, name, ready, attachments, announcements, connections, refused, ...rest };
}
