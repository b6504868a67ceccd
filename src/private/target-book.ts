import { isIP } from "node:net";
import { type Address, formatAddress } from "../base/address.js";
import type { ResolvedAddress } from "../transport/transport.js";
import type { TargetFacts } from "./messages.js";

/** Host names of targets are looked up again this often. */
const lookupIntervalMs = 10_000;
/** A target that is taken out of the settings still serves what is under way, also while its successor is looked up. */
const retirementMs = 10_000;

/** A target as the settings state it. */
export interface TargetStatement {
  readonly names: readonly string[];
  readonly alpn: readonly string[];
  readonly address: Address;
  readonly proxyProtocol: "none" | "v1" | "v2";
  readonly startTls: "none" | "postgres";
  readonly connectTimeoutMs: number;
}

/** A target with the id under which it is announced; a target that did not change keeps its id. */
export interface NumberedTarget extends TargetStatement {
  readonly announcementId: number;
}

/** The targets on the control plane: numbers them for the mesh, and keeps their addresses looked up for the data plane. */
export interface TargetBook {
  readonly current: readonly NumberedTarget[];
  /** Returns what is new and what is gone. */
  replace(statements: readonly TargetStatement[]): {
    readonly added: readonly NumberedTarget[];
    readonly removed: readonly NumberedTarget[];
  };
  /** Resolves when the target's host has been looked up for the first time, found or not: before, it serves nobody. */
  lookedUp(target: NumberedTarget): Promise<void>;
  close(): void;
}

export interface TargetBookOptions {
  readonly publish: (targets: readonly TargetFacts[]) => void;
  /** All addresses of a host, empty where there is none. Never rejects, and takes no longer than a few seconds. */
  readonly lookup: (host: string) => Promise<readonly string[]>;
}

/** What is known of a host name. */
interface Host {
  ips: readonly string[];
  /** The first look-up. */
  readonly first: Promise<void>;
  underWay: boolean;
}

export function createTargetBook({ publish, lookup }: TargetBookOptions): TargetBook {
  let current: readonly NumberedTarget[] = [];
  let retired: readonly NumberedTarget[] = [];
  const hosts = new Map<string, Host>();
  const retirements = new Set<NodeJS.Timeout>();
  let nextId = 1;
  let open = true;

  function facts(target: NumberedTarget): TargetFacts {
    const { announcementId, names, address, proxyProtocol, startTls, connectTimeoutMs } = target;
    return {
      announcementId,
      patterns: names,
      address: formatAddress(address),
      resolved: resolved(address),
      proxyProtocol,
      startTls,
      connectTimeoutMs,
    };
  }

  function resolved(address: Address): readonly ResolvedAddress[] {
    if (address.kind === "unix") return [{ kind: "unix", path: address.path }];
    const ips = isIP(address.host) === 0 ? (hosts.get(address.host)?.ips ?? []) : [address.host];
    return ips.map((ip) => ({ kind: "tcp", ip, port: address.port }));
  }

  function publishAll(): void {
    publish([...current, ...retired].map(facts));
  }

  /** An answer that is missing keeps the last one: a name server that is down must not take the target down with it. */
  async function ask(name: string, host: Host): Promise<void> {
    host.underWay = true;
    const ips = await lookup(name);
    host.underWay = false;
    if (!open || ips.length === 0 || ips.join() === host.ips.join()) return;
    host.ips = ips;
    if (hosts.get(name) === host) publishAll();
  }

  /** Makes the hosts those of the targets there are; what is new is looked up. */
  function follow(): void {
    const names = new Set([...current, ...retired].flatMap(({ address }) => hostName(address) ?? []));
    for (const name of hosts.keys()) if (!names.has(name)) hosts.delete(name);
    for (const name of names) {
      if (hosts.has(name)) continue;
      let begin!: () => void;
      const first = new Promise<void>((resolve) => {
        begin = resolve;
      });
      const host: Host = { ips: [], first, underWay: false };
      hosts.set(name, host);
      void ask(name, host).then(begin);
    }
  }

  const timer = setInterval(() => {
    for (const [name, host] of hosts) if (!host.underWay) void ask(name, host);
  }, lookupIntervalMs);
  timer.unref();

  function retire(removed: readonly NumberedTarget[]): void {
    retired = [...retired, ...removed];
    const retirement = setTimeout(() => {
      retirements.delete(retirement);
      retired = retired.filter((target) => !removed.includes(target));
      follow();
      publishAll();
    }, retirementMs);
    retirements.add(retirement);
  }

  return {
    get current() {
      return current;
    },
    replace(statements) {
      const known = new Map<string, NumberedTarget[]>();
      for (const target of current) known.set(fingerprint(target), [...(known.get(fingerprint(target)) ?? []), target]);
      const next = statements.map(
        (statement) => known.get(fingerprint(statement))?.shift() ?? { ...statement, announcementId: nextId++ },
      );
      const before = new Set(current);
      const after = new Set(next);
      const added = next.filter((target) => !before.has(target));
      const removed = current.filter((target) => !after.has(target));
      current = next;
      if (removed.length > 0) retire(removed);
      follow();
      publishAll();
      return { added, removed };
    },
    lookedUp({ address }) {
      return hosts.get(hostName(address) ?? "")?.first ?? Promise.resolve();
    },
    close() {
      open = false;
      clearInterval(timer);
      for (const retirement of retirements) clearTimeout(retirement);
    },
  };
}

/** What has to be looked up, if anything. */
function hostName(address: Address): string | undefined {
  return address.kind === "tcp" && isIP(address.host) === 0 ? address.host : undefined;
}

function fingerprint({ names, alpn, address, proxyProtocol, startTls, connectTimeoutMs }: TargetStatement): string {
  return JSON.stringify([names, alpn, formatAddress(address), proxyProtocol, startTls, connectTimeoutMs]);
}
