import { createCandidate } from "../../src/balance/candidate.js";
import type { Identity } from "../../src/certificates/identity.js";
import type { SessionFacts } from "../../src/public/messages.js";
import type { Announcer } from "../../src/public/names.js";
import type { Terms } from "../../src/public/terms.js";
import { type Pattern, parsePattern } from "../../src/tls-sni/index.js";
import type { Alarm } from "../../src/transport/transport.js";

/** What the tests of the public proxy's tables are made of. */

export function dns(value: string): Identity {
  return { type: "dns", value, text: `dns:${value}` };
}

export function uri(value: string): Identity {
  return { type: "uri", value, text: `uri:${value}` };
}

export function pattern(text: string): Pattern {
  const parsed = parsePattern(text);
  if (parsed.status === "invalid") throw new Error(`${text}: ${parsed.problem}`);
  return parsed.pattern;
}

/** What nobody asked for anything special announces on. */
export const usualTerms: Terms = { alpn: [], weight: 1, priority: 0 };

export function facts(session: string): SessionFacts {
  return { session, identity: `dns:${session}`, name: session, instance: session, ip: "192.0.2.1", slot: undefined };
}

export function announcer(session: string, terms: Partial<Terms> = {}): Announcer {
  const all = { ...usualTerms, ...terms };
  const candidate = createCandidate({ weight: all.weight, key: session, tieKey: "" });
  return { session: facts(session), announcementId: 1, ...all, candidate };
}

/** A clock that stands until it is moved, and the alarms that ring when it is. */
export interface HandClock {
  (): number;
  pass(ms: number): void;
  readonly alarm: Alarm;
  /** Alarms that have neither rung nor been cancelled. */
  readonly alarms: number;
}

export function handClock(start = 1000): HandClock {
  let at = start;
  const set = new Map<() => void, number>();
  const clock = () => at;
  return Object.defineProperty(
    Object.assign(clock, {
      pass(ms: number) {
        at += ms;
        for (const [fire, due] of [...set]) if (due <= at) fire();
      },
      alarm(due: number, ring: () => void) {
        const fire = () => {
          if (set.delete(fire)) ring();
        };
        set.set(fire, due);
        return () => void set.delete(fire);
      },
    }),
    "alarms",
    { get: () => set.size },
  ) as HandClock;
}
