import type { EndpointAddress } from "./endpoint.js";

/** `ip:port`, `[v6]:port` or `unix`: for logs, offers and the status. */
export function addressText(address: EndpointAddress): string {
  if (address.family === "unix") return "unix";
  return address.family === "ipv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
