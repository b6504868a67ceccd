import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { atMost } from "./deadline.js";

const lookupTimeoutMs = 5000;

/**
 * Look-ups that the system has not answered yet. Each occupies one of the few threads that files need, too, for as long as
 * a name server that is down makes it: a host that is asked for again and again must not take them all.
 */
const underWay = new Map<string, Promise<readonly string[]>>();

/**
 * All addresses of a host, as the system orders them; an IP address is its own. Empty where there is none, or none in time,
 * or none before `until`. Never rejects.
 */
export async function lookupAll(host: string, until?: Promise<void>): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  let found: readonly string[] = [];
  const asked = ask(host).then((addresses) => {
    found = addresses;
  });
  await atMost(until === undefined ? asked : Promise.race([asked, until]), lookupTimeoutMs);
  return found;
}

function ask(host: string): Promise<readonly string[]> {
  const already = underWay.get(host);
  if (already !== undefined) return already;
  const asked = lookup(host, { all: true }).then(
    (addresses) => addresses.map(({ address }) => address),
    () => [],
  );
  underWay.set(host, asked);
  void asked.then(() => underWay.delete(host));
  return asked;
}
