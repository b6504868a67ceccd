import type { Now } from "../base/deadline.js";

/** More public proxies than stand behind one name; a bound on what a name server can make this process open. */
const maxAddresses = 32;
/**
 * An address that is in use is gone when no answer has had it for so long: name servers that give out a part of many
 * addresses, each time another one, must not end sessions.
 */
const absentMs = 20_000;

/** The addresses of one host name, from what its look-ups find. */
export interface KnownAddresses {
  readonly ips: readonly string[];
  /** Takes over what a look-up has found. Nothing found changes nothing: a name server may be down. */
  heard(found: readonly string[], inUse: (ip: string) => boolean): void;
}

export function createKnownAddresses(now: Now): KnownAddresses {
  /** When an answer had it last. */
  const seenAt = new Map<string, number>();
  return {
    get ips() {
      return [...seenAt.keys()];
    },
    heard(found, inUse) {
      if (found.length === 0) return;
      const current = new Set(found);
      for (const [ip, at] of seenAt) {
        if (!current.has(ip) && (!inUse(ip) || now() - at >= absentMs)) seenAt.delete(ip);
      }
      for (const ip of current) if (seenAt.has(ip) || seenAt.size < maxAddresses) seenAt.set(ip, now());
    },
  };
}
