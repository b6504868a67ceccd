import { type Address, formatAddress, isLoopback } from "../base/address.js";
import type { Place, Reading } from "./place.js";

/** The values that were read well, and where those among them stand that are no defaults. */
export interface Found {
  readonly values: Map<string, unknown>;
  readonly places: ReadonlyMap<string, Place>;
}

const ordered = [
  ["mesh.reconnect.minMs", "mesh.reconnect.maxMs"],
  ["rendezvous.attemptTimeoutMs", "rendezvous.deadlineMs"],
  ["pool.minIdle", "pool.max"],
  ["pool.maxIdle", "pool.max"],
  ["pool.minIdle", "pool.maxIdle"],
] as const;

const listening = ["tls.listen", "rendezvous.listen", "mesh.listen", "admin.listen", "admin.socket"];

/** Checks what settings must be to each other. A default gives way to what is written. */
export function relate(found: Found, reading: Reading): void {
  for (const [smaller, larger] of ordered) order(found, reading, smaller, larger);
  listenOnce(found, reading);
  advertiseSomething(found, reading);
  guardAdmin(found, reading);
}

function order({ values, places }: Found, reading: Reading, smaller: string, larger: string): void {
  const small = values.get(smaller);
  const large = values.get(larger);
  if (typeof small !== "number" || typeof large !== "number" || small <= large) return;
  const place = places.get(smaller);
  if (place === undefined) values.set(smaller, large);
  else if (!places.has(larger)) values.set(larger, small);
  else reading.report(place, `${small} is more than ${larger}, expected at most ${large}`);
}

/** The system would refuse the second one anyway, but only once half of the proxy has started. */
function listenOnce({ values, places }: Found, reading: Reading): void {
  const first = new Map<string, string>();
  for (const key of listening) {
    const place = places.get(key);
    if (place === undefined || !values.has(key)) continue;
    const value = values.get(key) as string | Address | readonly Address[];
    [value].flat().forEach((address, i) => {
      const text = typeof address === "string" ? `unix:${address}` : formatAddress(address as Address);
      const earlier = first.get(text);
      if (text.endsWith(":0") && !text.startsWith("unix:")) return;
      if (earlier === undefined) first.set(text, key);
      else
        reading.report(place.items?.[i] ?? place, `${text} is taken by ${earlier} already, expected another address`);
    });
  }
}

function advertiseSomething({ values, places }: Found, reading: Reading): void {
  const addresses = values.get("rendezvous.listen") as readonly Address[] | undefined;
  const advertised = values.get("rendezvous.advertise") as readonly string[] | undefined;
  if (addresses === undefined || advertised === undefined || advertised.length > 0) return;
  if (addresses.some(({ kind }) => kind === "tcp")) return;
  const place = places.get("rendezvous.listen")!;
  reading.report(place, "private proxies cannot dial a unix socket, expected a TCP address or rendezvous.advertise");
}

/** Off loopback everybody could read what the proxy does. Of no concern to a command that only looks for the address. */
function guardAdmin({ values, places }: Found, reading: Reading): void {
  if (values.has("admin.token") || places.has("admin.token") || !reading.checkFiles) return;
  const place = places.get("admin.listen");
  const addresses = (values.get("admin.listen") ?? []) as readonly Address[];
  addresses.forEach((address, i) => {
    if (address.kind === "unix" || isLoopback(address.host)) return;
    reading.report(
      place!.items?.[i] ?? place!,
      `${formatAddress(address)} can be reached from other machines, expected a loopback address, or admin.token beside it`,
    );
  });
}
