import type { Socket } from "node:net";
import type { EndpointAddress } from "../endpoint.js";

const mappedPrefix = "::ffff:";

/** An IPv4 client of a listener on [::] shows as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2): it is an IPv4 client. */
export function tcpAddress(address: string, port: number): EndpointAddress {
  if (!address.includes(":")) return { family: "ipv4", address, port };
  const mapped = address.startsWith(mappedPrefix) && address.includes(".");
  return mapped
    ? { family: "ipv4", address: address.slice(mappedPrefix.length), port }
    : { family: "ipv6", address, port };
}

export interface SocketAddresses {
  readonly remote: EndpointAddress;
  readonly local: EndpointAddress;
}

const unixAddresses: SocketAddresses = { remote: { family: "unix" }, local: { family: "unix" } };

/** Both addresses of a connected socket; undefined when the peer is gone already, for then the system knows neither. */
export function addressesOf(socket: Socket, kind: "tcp" | "unix"): SocketAddresses | undefined {
  if (kind === "unix") return unixAddresses;
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  if (localAddress === undefined || localPort === undefined) return undefined;
  return { remote: tcpAddress(remoteAddress, remotePort), local: tcpAddress(localAddress, localPort) };
}
