import { isIP } from "node:net";
import { type Address, formatAddress } from "../base/address.js";
import type { ResolvedAddress } from "../transport/transport.js";
import { createHosts, type HostsOptions } from "./hosts.js";
import type { TargetFacts } from "./messages.js";

/** A target that is taken out of the settings still serves what is under way, from when its successors can serve. */
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
  /** Whether the target can serve: its host has been looked up, found or not. */
  isReady(target: NumberedTarget): boolean;
  /** Whether all of them can: what is gone may then be withdrawn. */
  readonly settled: boolean;
  close(): void;
}

export interface TargetBookOptions {
  readonly publish: (targets: readonly TargetFacts[]) => void;
  readonly lookup: HostsOptions["lookup"];
  /** A target came, went, or became ready: after it was published. */
  readonly changed: () => void;
}

export function createTargetBook({ publish, lookup, changed }: TargetBookOptions): TargetBook {
  let current: readonly NumberedTarget[] = [];
  /** Gone from the settings: first those that nobody has replaced yet. */
  let replaced: readonly NumberedTarget[] = [];
  let retired: readonly NumberedTarget[] = [];
  const hosts = createHosts({ lookup, changed: tell });
  const retirements = new Set<NodeJS.Timeout>();
  let nextId = 1;

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
    const ips = isIP(address.host) === 0 ? hosts.ips(address.host) : [address.host];
    return ips.map((ip) => ({ kind: "tcp", ip, port: address.port }));
  }

  function everything(): readonly NumberedTarget[] {
    return [...current, ...replaced, ...retired];
  }

  function tell(): void {
    publish(everything().map(facts));
    if (isSettled()) retire();
    changed();
  }

  function isReady({ address }: NumberedTarget): boolean {
    const name = hostName(address);
    return name === undefined || hosts.lookedUp(name);
  }

  function isSettled(): boolean {
    return current.every(isReady);
  }

  function follow(): void {
    hosts.follow(new Set(everything().flatMap(({ address }) => hostName(address) ?? [])));
  }

  function retire(): void {
    if (replaced.length === 0) return;
    const retiring = replaced;
    replaced = [];
    retired = [...retired, ...retiring];
    const retirement = setTimeout(() => {
      retirements.delete(retirement);
      retired = retired.filter((target) => !retiring.includes(target));
      follow();
      tell();
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
      replaced = [...replaced, ...removed];
      follow();
      tell();
      return { added, removed };
    },
    isReady,
    get settled() {
      return isSettled();
    },
    close() {
      hosts.close();
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
