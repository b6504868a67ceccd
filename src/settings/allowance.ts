import { isIP, isIPv4, isIPv6 } from "node:net";

/** An endpoint, or a range of them, that a private proxy may dial for a rendezvous beside the mesh host. */
export interface Allowance {
  /** A host name in lower case, an IP address, or the address of a network. */
  readonly host: string;
  /** Where `host` is a network: the length of its prefix in bits. */
  readonly prefix?: number;
  /** Absent: any port. */
  readonly port?: number;
}

const forms = "host, host:port, 10.0.0.0/8, 10.0.0.0/8:port, [v6]:port or [v6/prefix]:port";

/** Reads a host or a network (CIDR), with or without a port. IPv6 with a port stands in brackets. */
export function parseAllowance(text: string): Allowance | { readonly problem: string } {
  const bracketed = /^\[([^[\]]*)\](?::(\d{1,5}))?$/.exec(text);
  if (bracketed !== null) return withPort(parseHost(bracketed[1]!, "IPv6"), bracketed[2]);
  if (text.split(":").length > 2) return parseHost(text, "IPv6");
  const plain = /^([^:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  if (plain === null) return { problem: `expected ${forms}` };
  return withPort(parseHost(plain[1]!, "any"), plain[2]);
}

function parseHost(text: string, family: "IPv6" | "any"): Allowance | { problem: string } {
  const [host = "", digits, ...rest] = text.toLowerCase().split("/");
  if (rest.length > 0) return { problem: `expected ${forms}` };
  if (family === "IPv6" && !isIPv6(host)) return { problem: `${host} is not an IPv6 address` };
  if (digits !== undefined) {
    if (isIP(host) === 0) return { problem: `${host} is not an IP address, and only those have a prefix` };
    const most = isIPv4(host) ? 32 : 128;
    if (!/^\d{1,3}$/.test(digits) || Number(digits) > most)
      return { problem: `the prefix /${digits} is not in 0-${most}` };
    return { host, prefix: Number(digits) };
  }
  if (/^[\d.]+$/.test(host) && !isIPv4(host)) return { problem: `${host} is not an IPv4 address` };
  if (isIP(host) === 0 && !/^[a-z0-9_.-]+$/.test(host)) return { problem: `${host} is not a host name` };
  return { host };
}

function withPort(parsed: Allowance | { problem: string }, digits: string | undefined): typeof parsed {
  if ("problem" in parsed || digits === undefined) return parsed;
  const port = Number(digits);
  if (port < 1 || port > 65535) return { problem: `port ${digits} is not in 1-65535` };
  return { ...parsed, port };
}
