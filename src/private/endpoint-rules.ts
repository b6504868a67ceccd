import { BlockList, isIP, isIPv6 } from "node:net";
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
  | { readonly kind: "network"; readonly network: BlockList }
);

/** `allowed`: hosts or CIDRs, with or without a port, from `mesh.rendezvous`. They have been checked by the settings. */
export function createEndpointRules(allowed: readonly string[]): EndpointRules {
  const rules = allowed.map(parseRule);
  return {
    judge(endpoint, dialled) {
      const address = parseAddress(endpoint, { hostOptional: true });
      if (!isAddress(address)) return { status: "refused", problem: address.problem };
      if (address.kind === "unix") return { status: "refused", problem: "a unix socket is not a rendezvous endpoint" };
      const { host, port } = address;
      if (port === 0) return { status: "refused", problem: "port 0 cannot be dialled" };
      // The name may stand for several public proxies, but the token is known to one: the one that answered.
      if (host === "" || host === dialled.host || host === dialled.ip)
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
  return isIP(host) !== 0 && rule.network.check(host, isIPv6(host) ? "ipv6" : "ipv4");
}

/** `host`, `host:port`, `v4/bits`, `v4/bits:port`, `v6`, `[v6]:port`, `v6/bits`, `[v6/bits]:port`. */
function parseRule(text: string): Rule {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  const plain = text.split(":").length === 2 ? /^([^:]+):(\d+)$/.exec(text) : null;
  const match = bracketed ?? plain;
  const subject = (match?.[1] ?? text).toLowerCase();
  const port = match?.[2] === undefined ? undefined : Number(match[2]);
  const [base, bits] = subject.split("/");
  if (bits === undefined) return { kind: "host", host: subject, port };
  const network = new BlockList();
  network.addSubnet(base!, Number(bits), isIPv6(base!) ? "ipv6" : "ipv4");
  return { kind: "network", network, port };
}
