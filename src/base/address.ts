import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";

/** Where to listen or to connect: a TCP host and port, or a unix socket. */
export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** The longest path a unix socket address can hold: sun_path has 108 bytes, one is the terminating zero. */
export const maxUnixPathBytes = 107;

/** What is wrong with a text that should be an address. */
export type AddressProblem = { readonly problem: string };

/**
 * Reads `host:port`, `[v6]:port` or `unix:/path`. With `hostOptional` also `:port` (an empty host).
 * The host is lower-cased; no name is looked up.
 */
export function parseAddress(text: string, options: { hostOptional?: boolean } = {}): Address | AddressProblem {
  if (text.startsWith("unix:")) return parseUnix(text.slice("unix:".length));
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) return { problem: "expected host:port, [v6]:port or unix:/path" };
  const [, bracketed, bare, digits] = match;
  const port = Number(digits);
  if (port > 65535) return { problem: `port ${digits} is not in 0-65535` };
  if (bracketed !== undefined) {
    if (!isIPv6(bracketed)) return { problem: `[${bracketed}] is not an IPv6 address` };
    return { kind: "tcp", host: bracketed.toLowerCase(), port };
  }
  const host = (bare ?? "").toLowerCase();
  if (host === "" && options.hostOptional !== true) return { problem: "the host is missing (0.0.0.0 or [::] for all)" };
  if (/^[\d.]+$/.test(host) && !isIPv4(host)) return { problem: `${host} is not an IPv4 address` };
  if (host !== "" && !/^[a-z0-9_.-]+$/.test(host)) return { problem: `${bare} is not a host name` };
  return { kind: "tcp", host, port };
}

function parseUnix(path: string): Address | AddressProblem {
  if (!path.startsWith("/")) return { problem: "a unix socket needs an absolute path: unix:/path" };
  if (path.includes("\0")) return { problem: "a unix socket's path holds no zero byte" };
  const bytes = Buffer.byteLength(path);
  if (bytes > maxUnixPathBytes) {
    return { problem: `the unix socket's path has ${bytes} bytes, at most ${maxUnixPathBytes} are possible` };
  }
  return { kind: "unix", path };
}

export function isAddress(parsed: Address | AddressProblem): parsed is Address {
  return "kind" in parsed;
}

/** The text form that `parseAddress` reads. */
export function formatAddress(address: Address): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Whether connections to this host can come only from this machine. No name but localhost is taken to be such. */
export function isLoopback(host: string): boolean {
  const family = isIP(host);
  return family === 0 ? host === "localhost" : loopback.check(host, family === 6 ? "ipv6" : "ipv4");
}
