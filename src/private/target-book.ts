import { isIP } from "node:net";
import type { BalanceMethod } from "../balance/method.js";
import { type Address, formatAddress } from "../base/address.js";
import { createSlots } from "../base/count-board.js";
import type { ResolvedAddress } from "../transport/transport.js";
import { createHosts, type HostsOptions } from "./hosts.js";
import type { TargetFacts } from "./messages.js";
import { maxSlots } from "./server-loads.js";

/** A target that is taken out of the settings still serves what is under way, from when its successors can serve. */
const retirementMs = 10_000;

/** A target as the settings state it. */
export interface TargetStatement {
  readonly names: readonly string[];
  readonly alpn: readonly string[];
  /** At least one, none of them twice. */
  readonly addresses: readonly Address[];
  readonly balance: BalanceMethod;
  readonly weight: number;
  readonly priority: number;
  readonly proxyProtocol: "none" | "v1" | "v2";
  readonly startTls: "none" | "postgres";
  readonly connectTimeoutMs: number;
}

/** A target with the id under which it is announced; a target that did not change keeps its id. */
export interface NumberedTarget extends TargetStatement {
  readonly announcementId: number;
  readonly servers: readonly NumberedServer[];
}

/** One address of a target; the same one for as long as the target is there. */
export interface NumberedServer {
  readonly address: Address;
  readonly text: string;
  readonly slot: number | undefined;
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
  const slots = createSlots<string>(maxSlots);
  let nextId = 1;

  function facts(target: NumberedTarget): TargetFacts {
    const { announcementId, names, servers, balance, proxyProtocol, startTls, connectTimeoutMs } = target;
    return {
      announcementId,
      patterns: names,
      address: addressesOf(target),
      balance,
      servers: servers.map(({ address, text, slot }) => ({
        address: text,
        slot,
        resolved: resolved(address),
        up: true,
      })),
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

  function numbered(statement: TargetStatement): NumberedTarget {
    const announcementId = nextId++;
    const servers = statement.addresses.map((address) => {
      const text = formatAddress(address);
      return { address, text, slot: slots.take(slotOwner(announcementId, text)) };
    });
    return { ...statement, announcementId, servers };
  }

  function everything(): readonly NumberedTarget[] {
    return [...current, ...replaced, ...retired];
  }

  function tell(): void {
    publish(everything().map(facts));
    if (isSettled()) retire();
    changed();
  }

  function isReady({ addresses }: NumberedTarget): boolean {
    return hostNames([{ addresses }]).every(hosts.lookedUp);
  }

  function isSettled(): boolean {
    return current.every(isReady);
  }

  function follow(): void {
    hosts.follow(new Set(hostNames(everything())));
  }

  function retire(): void {
    if (replaced.length === 0) return;
    const retiring = replaced;
    replaced = [];
    retired = [...retired, ...retiring];
    const retirement = setTimeout(() => {
      retirements.delete(retirement);
      retired = retired.filter((target) => !retiring.includes(target));
      for (const { announcementId, servers } of retiring) {
        for (const { text } of servers) slots.free(slotOwner(announcementId, text));
      }
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
      const next = statements.map((statement) => {
        const before = known.get(fingerprint(statement))?.shift();
        return before === undefined ? numbered(statement) : { ...before, ...statement };
      });
      const before = idsOf(current);
      const after = idsOf(next);
      const added = next.filter(({ announcementId }) => !before.has(announcementId));
      const removed = current.filter(({ announcementId }) => !after.has(announcementId));
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

/** What has to be looked up. */
function hostNames(targets: readonly Pick<NumberedTarget, "addresses">[]): readonly string[] {
  return targets.flatMap(({ addresses }) =>
    addresses.flatMap((address) => (address.kind === "tcp" && isIP(address.host) === 0 ? address.host : [])),
  );
}

function idsOf(targets: readonly NumberedTarget[]): ReadonlySet<number> {
  return new Set(targets.map(({ announcementId }) => announcementId));
}

function slotOwner(announcementId: number, address: string): string {
  return `${announcementId} ${address}`;
}

/** All of them, for logs and the status. */
export function addressesOf({ addresses }: Pick<TargetStatement, "addresses">): string {
  return addresses.map(formatAddress).join(", ");
}

/** What makes a target another one. Weight and priority do not: they are announced anew under the same id. */
function fingerprint(statement: TargetStatement): string {
  const { names, alpn, addresses, balance, proxyProtocol, startTls, connectTimeoutMs } = statement;
  return JSON.stringify([names, alpn, addresses, balance, proxyProtocol, startTls, connectTimeoutMs]);
}
