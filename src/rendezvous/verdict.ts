import type { ReasonCode } from "../base/reasons.js";

/** Why a private proxy declines the client that a dial-back was given. */
export type DeclineReason = Extract<
  ReasonCode,
  "target_unreachable" | "target_full" | "name_not_served" | "shutting_down" | "verdict_refused"
>;

/** What a private proxy says about a client, in one byte, before anything else on the dial-back. */
export type Verdict = "taken" | DeclineReason;

const verdictBytes = {
  taken: 0x01,
  target_unreachable: 0x02,
  target_full: 0x03,
  name_not_served: 0x04,
  shutting_down: 0x05,
  verdict_refused: 0x06,
} as const satisfies Record<Verdict, number>;

const verdictsByByte: readonly (Verdict | undefined)[] = invert();

function invert(): (Verdict | undefined)[] {
  const inverted: (Verdict | undefined)[] = [];
  for (const verdict of Object.keys(verdictBytes) as Verdict[]) inverted[verdictBytes[verdict]] = verdict;
  return inverted;
}

/** What a public proxy is told of a private proxy's reason: where there is no word for it, it lies with the target. */
export function declineVerdict(code: ReasonCode): DeclineReason {
  if (code === "target_queue_full" || code === "target_queue_timeout") return "target_full";
  return Object.hasOwn(verdictBytes, code) ? (code as DeclineReason) : "target_unreachable";
}

/** The byte that says `verdict`. */
export function encodeVerdict(verdict: Verdict): number {
  return verdictBytes[verdict];
}

/** What a byte says. One that is not in the table declines too: newer private proxies may know more reasons. */
export function decodeVerdict(byte: number): Verdict {
  return verdictsByByte[byte] ?? "verdict_refused";
}
