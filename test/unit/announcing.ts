import type { Identity } from "../../src/certificates/identity.js";
import type { Announcer } from "../../src/public/names.js";
import { type Pattern, parsePattern } from "../../src/tls-sni/index.js";

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
  return { session: { session, identity: `dns:${session}`, name: session, ip: "192.0.2.1" }, announcementId: 1, alpn };
}

/** A clock that stands until it is moved. */
export function handClock(start = 1000): { (): number; pass(ms: number): void } {
  let at = start;
  return Object.assign(() => at, {
    pass(ms: number) {
      at += ms;
    },
  });
}
