import { ProxyError } from "../base/errors.js";
import { writeIpv4, writeIpv6 } from "../base/ip-bytes.js";
import type { EndpointAddress } from "../transport/endpoint.js";
import { clearTally, createSharedTally, createTallyTable } from "./shared-tally.js";

/** The tables of all workers. */
export interface ClientTables {
  readonly addresses: SharedArrayBuffer;
  readonly names: SharedArrayBuffer;
}

/** For so many connections; more can be counted, but then some of them by each worker for itself. */
export function createClientTables(workers: number, connections: number): ClientTables {
  return {
    addresses: createTallyTable(workers, connections),
    names: createTallyTable(workers, connections),
  };
}

/** Counts a worker out that is not there any more. */
export function clearClientTables({ addresses, names }: ClientTables, worker: number): void {
  clearTally(addresses, worker);
  clearTally(names, worker);
}

/** How many connections there are from each client address and for each server name, over all workers. */
export interface ClientTallies {
  /**
   * Counts a connection; returns the place by which it leaves. An IPv6 address stands for its /64, which is what one site
   * has; undefined, where the client has no address. Throws `client_address_full`.
   */
  enterAddress(source: EndpointAddress, max: number): number | undefined;
  leaveAddress(place: number): void;
  /** The same by the name in the hello, in lower case. All that send none count as one name. Throws `name_full`. */
  enterName(serverName: string | undefined, max: number): number;
  leaveName(place: number): void;
}

export function createClientTallies(tables: ClientTables, worker: number): ClientTallies {
  const addresses = createSharedTally(tables.addresses, worker);
  const names = createSharedTally(tables.names, worker);
  return {
    enterAddress(source, max) {
      const key = addressKey(source);
      if (key === undefined) return undefined;
      const place = addresses.enter(key, max);
      if (place === undefined) throw new ProxyError("client_address_full");
      return place;
    },
    leaveAddress: (place) => addresses.leave(place),
    enterName(serverName, max) {
      const place = names.enter(Buffer.from(serverName ?? "", "latin1"), max);
      if (place === undefined) throw new ProxyError("name_full");
      return place;
    },
    leaveName: (place) => names.leave(place),
  };
}

const bytes = new Uint8Array(16);
const ipv4 = bytes.subarray(12);
const ipv6Network = bytes.subarray(0, 8);

/** What counts as one address; it is overwritten by the next. IPv4-mapped addresses are IPv4 addresses (RFC 4291 §2.5.5.2). */
function addressKey(source: EndpointAddress): Uint8Array | undefined {
  if (source.family === "unix") return undefined;
  if (source.family === "ipv4") return writeIpv4(source.address, bytes, 12) ? ipv4 : undefined;
  if (!writeIpv6(source.address, bytes, 0)) return undefined;
  const mapped = bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((byte) => byte === 0);
  return mapped ? ipv4 : ipv6Network;
}
