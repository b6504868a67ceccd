import type { Now } from "../base/deadline.js";
import { tokenBuckets } from "../base/token-bucket.js";

/** Bad prefaces or tokens that an address may send at once, and per second. An honest one sends none. */
const burst = 20;
const perSecond = 2;
const maxAddresses = 10_000;

/**
 * Who sent bad prefaces lately. An address with an attached private proxy is always tolerated: an attacker beside it
 * must not be able to shut it out, and its own tokens are what tells it from the attacker.
 */
export interface Offences {
  tolerates(ip: string): boolean;
  note(ip: string): void;
  attached(session: string, ip: string): void;
  detached(session: string): void;
}

/** Among several workers the budget is shared out: an address comes to all of them. */
export function createOffences({ now, workers = 1 }: { now: Now; workers?: number }): Offences {
  const budget = tokenBuckets({
    perSecond: perSecond / workers,
    burst: Math.ceil(burst / workers),
    maxKeys: maxAddresses,
    now,
  });
  const ipOf = new Map<string, string>();
  const attachedFrom = new Map<string, number>();
  return {
    tolerates: (ip) => attachedFrom.has(ip) || budget.has(ip),
    note: (ip) => void budget.take(ip),
    attached(session, ip) {
      ipOf.set(session, ip);
      attachedFrom.set(ip, (attachedFrom.get(ip) ?? 0) + 1);
    },
    detached(session) {
      const ip = ipOf.get(session);
      if (ip === undefined) return;
      ipOf.delete(session);
      const left = (attachedFrom.get(ip) ?? 0) - 1;
      if (left > 0) attachedFrom.set(ip, left);
      else attachedFrom.delete(ip);
    },
  };
}
