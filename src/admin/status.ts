import type { ReasonCode } from "../base/reasons.js";

/** What `/status` answers. Fields are added, never renamed; `version` rises when that is not enough. */
export interface Status {
  readonly version: 1;
  readonly role: "public" | "private";
  readonly name: string;
  readonly ready: boolean;
  readonly attachments: readonly Readonly<Record<string, unknown>>[];
  readonly announcements: readonly Readonly<Record<string, unknown>>[];
  readonly connections: { readonly opened: number; readonly closed: number; readonly live: number };
  readonly bytes: { readonly up: number; readonly down: number };
  readonly refused: Partial<Record<ReasonCode, number>>;
  readonly software: string;
  readonly startedAt: string;
  readonly listening: Readonly<Record<string, readonly string[]>>;
}
