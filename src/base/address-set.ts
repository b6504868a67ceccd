import { BlockList, isIP, isIPv6 } from "node:net";

/** A set of IP addresses, given as addresses and networks. */
export interface AddressSet {
  /** False for what is not an IP address. IPv4-mapped IPv6 addresses count as the IPv4 address they stand for. */
  has(ip: string): boolean;
}

/** Each entry is an IP address or a CIDR (`10.0.0.0/8`, `fd00::/8`), checked by the settings. */
export function addressSet(entries: readonly string[]): AddressSet {
  if (entries.length === 0) return { has: () => false };
  const list = new BlockList();
  for (const entry of entries) {
    const [address, bits] = entry.split("/") as [string, string?];
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return {
    has(ip) {
      const family = isIP(ip);
      return family !== 0 && list.check(ip, family === 6 ? "ipv6" : "ipv4");
    },
  };
}
