import type { Identity } from "../../src/certificates/identity.js";
import type { Announcer } from "../../src/public/names.js";
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

export function announcer(session: string, alpn: readonly string[] = []): Announcer {
  return {
    session: { session, identity: `dns:${session}`, name: session, ip: "192.0.2.1", slot: undefined },
    announcementId: 1,
    alpn,
  };
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
