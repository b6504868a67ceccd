import { type ReasonCode, reason } from "./reasons.js";

/** The only error class of the project. `code` is one of the closed table in reasons.ts. */
export class ProxyError extends Error {
  readonly code: ReasonCode;

  constructor(code: ReasonCode, message?: string, options?: { cause?: unknown }) {
    super(message ?? reason(code).means, options);
    this.name = "ProxyError";
    this.code = code;
  }
}

/** The code of any thrown value: what is not ours is a fault of this program. */
export function codeOf(error: unknown): ReasonCode {
  return error instanceof ProxyError ? error.code : "internal";
}

/** Of a fault of this program: where it happened. */
export function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** A text for logs of any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
