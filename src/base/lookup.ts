import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { atMost } from "./deadline.js";

const lookupTimeoutMs = 5000;

/**
 * All addresses of a host, as the system orders them; an IP address is its own. Empty where there is none, or none in time,
 * or none before `until`. Never rejects.
 */
export async function lookupAll(host: string, until?: Promise<void>): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  let found: readonly string[] = [];
  const asked = lookup(host, { all: true }).then(
    (addresses) => {
      found = addresses.map(({ address }) => address);
    },
    () => {},
  );
  await atMost(until === undefined ? asked : Promise.race([asked, until]), lookupTimeoutMs);
  return found;
}
