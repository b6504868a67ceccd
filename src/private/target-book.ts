import { type Address, formatAddress } from "../base/address.js";
import { lookupAll } from "../base/lookup.js";
import type { ResolvedAddress } from "../transport/transport.js";
import type { TargetFacts } from "./messages.js";

/** Host names of targets are looked up again this often. */
const lookupIntervalMs = 10_000;
/** A target that is taken out of the settings still serves the offers that are under way. */
const retirementMs = 5000;

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
  close(): void;
}

export function createTargetBook(publish: (targets: readonly TargetFacts[]) => void): TargetBook {
  let current: readonly NumberedTarget[] = [];
  let retired: readonly NumberedTarget[] = [];
  const lookedUp = new Map<string, readonly string[]>();
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
    const ips = lookedUp.get(address.host) ?? [];
    return ips.map((ip) => ({ kind: "tcp", ip, port: address.port }));
  }

  function publishAll(): void {
    publish([...current, ...retired].map(facts));
  }

  /** An answer that is missing keeps the last one: a name server that is down must not take the target down with it. */
  async function lookUp(): Promise<void> {
    const hosts = new Set(current.flatMap(({ address }) => (address.kind === "tcp" ? [address.host] : [])));
    for (const host of lookedUp.keys()) if (!hosts.has(host)) lookedUp.delete(host);
    await Promise.all(
      [...hosts].map(async (host) => {
        const ips = await lookupAll(host);
        if (ips.length > 0) lookedUp.set(host, ips);
      }),
    );
    if (open) publishAll();
  }

  const timer = setInterval(() => void lookUp(), lookupIntervalMs);
  timer.unref();

  return {
    get current() {
      return current;
    },
    replace(statements) {
      const known = new Map(current.map((target) => [fingerprint(target), target]));
      const next = statements.map(
        (statement) => known.get(fingerprint(statement)) ?? { ...statement, announcementId: nextId++ },
      );
      const added = next.filter((target) => !current.includes(target));
      const removed = current.filter((target) => !next.includes(target));
      current = next;
      retired = [...retired, ...removed];
      if (removed.length > 0) {
        const retirement = setTimeout(() => {
          retirements.delete(retirement);
          retired = retired.filter((target) => !removed.includes(target));
          publishAll();
        }, retirementMs);
        retirements.add(retirement);
      }
      publishAll();
      void lookUp();
      return { added, removed };
    },
    close() {
      open = false;
      clearInterval(timer);
      for (const retirement of retirements) clearTimeout(retirement);
    },
  };
}

function fingerprint({ names, alpn, address, proxyProtocol, startTls, connectTimeoutMs }: TargetStatement): string {
  return JSON.stringify([names, alpn, formatAddress(address), proxyProtocol, startTls, connectTimeoutMs]);
}
