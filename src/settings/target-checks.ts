import { type Address, formatAddress } from "../base/address.js";
import type { Place, Reading } from "./place.js";
import type { ListCheck } from "./schema.js";
import type { TargetSettings } from "./types.js";

/** What targets must be beyond each of their settings. */
export const checkTargets: ListCheck<TargetSettings> = (targets, places, reading) => {
  targets.forEach((target, i) => {
    if (target !== undefined) checkAddresses(target, places[i]!, reading);
  });
  noNameTwice(targets, places, reading);
};

/** A server that stands there twice would get twice the clients, and hide that it is the only one. */
function checkAddresses({ address, addresses }: TargetSettings, place: Place, { report }: Reading): void {
  if (address === undefined && addresses.length === 0) {
    report(place, "has no address of an internal server, expected address, addresses or both");
  }
  const own = place.entries?.get("address")?.value ?? place;
  const list = place.entries?.get("addresses")?.value ?? place;
  const placed: [Address, Place][] = addresses.map((each, i) => [each, list.items?.[i] ?? list]);
  if (address !== undefined) placed.unshift([address, own]);
  const first = new Map<string, string>();
  for (const [each, at] of placed) {
    const text = formatAddress(each);
    const earlier = first.get(text);
    if (earlier === undefined) first.set(text, at.key);
    else report(at, `${JSON.stringify(text)} stands in ${earlier} already, allowed is once`);
  }
}

/** Among targets a name with one protocol must lead to one place: else which of two served it would be chance. */
function noNameTwice(...[targets, places, { report }]: Parameters<ListCheck<TargetSettings>>): void {
  const first = new Map<string, string>();
  targets.forEach((target, i) => {
    if (target === undefined) return;
    const namePlaces = places[i]!.entries?.get("names")?.value.items;
    target.names.forEach((name, j) => {
      const place = namePlaces?.[j] ?? places[i]!;
      for (const alpn of target.alpn.length === 0 ? [undefined] : new Set(target.alpn)) {
        const pair = JSON.stringify([name, alpn]);
        const earlier = first.get(pair);
        const protocol = alpn === undefined ? "" : ` with the protocol ${JSON.stringify(alpn)}`;
        if (earlier === undefined) first.set(pair, `${place.key} (${place.file}:${place.line ?? 1})`);
        else report(place, `${JSON.stringify(name)}${protocol} stands in ${earlier} already, allowed is once`);
      }
    });
  });
}
