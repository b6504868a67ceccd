import { BlockList, isIP, isIPv6, SocketAddress } from "node:net";
import { isAddress, parseAddress } from "../base/address.js";

/**
 * Where a private proxy may dial back to. The public proxy names endpoints, but it must not be able to make private
 * proxies connect into their own network: only the host dialled for the mesh is trusted, and what the settings list.
 */
export interface EndpointRules {
  judge(endpoint: string, dialled: DialledMesh): EndpointJudgement;
}

/** The public proxy as it was dialled for the mesh. */
export interface DialledMesh {
  /** As the settings name it, in lower case. */
  readonly host: string;
  /** The address that answered. */
  readonly ip: string;
}

export type EndpointJudgement =
  /** `host` is an IP address, or a name that the settings list. */
  | { readonly status: "allowed"; readonly host: string; readonly port: number }
  | { readonly status: "refused"; readonly problem: string };

type Rule = { readonly port: number | undefined } & (
  | { readonly kind: "host"; readonly host: string }
  /** `family` apart: a list of all of IPv6 holds all of IPv4 too, in the eyes of `BlockList`. */
  | { readonly kind: "network"; readonly network: BlockList; readonly family: 4 | 6 }
);

/** `allowed`: hosts or CIDRs, with or without a port, from `mesh.rendezvous`. They have been checked by the settings. */
export function createEndpointRules(allowed: readonly string[]): EndpointRules {
  const rules = allowed.map(parseRule);
  return {
    judge(endpoint, dialled) {
      const address = parseAddress(endpoint, { hostOptional: true });
      if (!isAddress(address)) return { status: "refused", problem: address.problem };
      if (address.kind === "unix") return { status: "refused", problem: "a unix socket is not a rendezvous endpoint" };
      const { port } = address;
      if (address.host.includes("%"))
        return { status: "refused", problem: "an IPv6 zone means nothing to another host" };
      const host = canonicalHost(address.host);
      if (port === 0) return { status: "refused", problem: "port 0 cannot be dialled" };
      // The name may stand for several public proxies, but the token is known to one: the one that answered.
      if (host === "" || host === canonicalHost(dialled.host) || host === canonicalHost(dialled.ip))
        return { status: "allowed", host: dialled.ip, port };
      if (rules.some((rule) => allows(rule, host, port))) return { status: "allowed", host, port };
      return {
        status: "refused",
        problem: `${endpoint} is neither on ${dialled.host}, which was dialled for the mesh, nor listed in mesh.rendezvous`,
      };
    },
  };
}

function allows(rule: Rule, host: string, port: number): boolean {
  if (rule.port !== undefined && rule.port !== port) return false;
  if (rule.kind === "host") return rule.host === host;
  return isIP(host) === rule.family && rule.network.check(host, rule.family === 6 ? "ipv6" : "ipv4");
}

/**
 * One text for what is one place: lower case, no trailing dot, IPv6 in its shortest form, and IPv4-mapped IPv6 as the IPv4
 * that it is.
 */
function canonicalHost(text: string): string {
  const host = text.toLowerCase();
  if (!isIPv6(host) || host.includes("%")) return host.endsWith(".") ? host.slice(0, -1) : host;
  const { address } = new SocketAddress({ address: host, family: "ipv6" });
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1] ?? address;
}

/** `host`, `host:port`, `v4/bits`, `v4/bits:port`, `v6`, `[v6]:port`, `v6/bits`, `[v6/bits]:port`. */
function parseRule(text: string): Rule {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  const plain = text.split(":").length === 2 ? /^([^:]+):(\d+)$/.exec(text) : null;
  const match = bracketed ?? plain;
  const subject = (match?.[1] ?? text).toLowerCase();
  const port = match?.[2] === undefined ? undefined : Number(match[2]);
  const [base, bits] = subject.split("/");
  if (bits === undefined) return { kind: "host", host: canonicalHost(subject), port };
  const network = new BlockList();
  const family = isIPv6(base!) ? 6 : 4;
  network.addSubnet(base!, Number(bits), family === 6 ? "ipv6" : "ipv4");
  return { kind: "network", network, family, port };
}
