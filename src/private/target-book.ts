import { isIP } from "node:net";
import type { BalanceMethod } from "../balance/method.js";
import { type Address, formatAddress } from "../base/address.js";
import { createSlots } from "../base/count-board.js";
import type { ResolvedAddress } from "../transport/transport.js";
import type { Health, HealthCheck } from "./health.js";
import { createHosts, type HostsOptions } from "./hosts.js";
import type { TargetCap, TargetFacts } from "./messages.js";
import { maxSlots } from "./server-loads.js";
import { type CapStatement, createCapNumbers } from "./target-caps.js";

/** A target that is taken out of the settings still serves what is under way, from when its successors can serve. */
const retirementMs = 10_000;

/** A target as the settings state it. */
export interface TargetStatement extends CapStatement {
  readonly names: readonly string[];
  readonly alpn: readonly string[];
  /** At least one, none of them twice. */
  readonly addresses: readonly Address[];
  readonly balance: BalanceMethod;
  readonly weight: number;
  readonly priority: number;
  /** None: every address counts as up. */
  readonly healthCheck?: HealthCheck;
  readonly proxyProtocol: "none" | "v1" | "v2";
  readonly startTls: "none" | "postgres";
  readonly connectTimeoutMs: number;
}

/** A target with the id under which it is announced; a target that did not change keeps its id. */
export interface NumberedTarget extends TargetStatement {
  readonly announcementId: number;
  readonly servers: readonly NumberedServer[];
  /** Where there is one, or was. */
  readonly cap: TargetCap | undefined;
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
  serving(target: NumberedTarget): Serving;
  /** Whether it is known of all of them: what is gone may then be withdrawn. */
  readonly settled: boolean;
  /** Where a server is now; undefined before its name has been looked up for the first time. */
  whereIs(server: NumberedServer): readonly ResolvedAddress[] | undefined;
  /** The health of a server is another one. */
  healthChanged(): void;
  close(): void;
}

/** Whether a target can take clients. */
export type Serving =
  /** Not known yet: its names are being looked up, or its addresses checked for the first time. */
  | { readonly state: "pending"; readonly why: string }
  | { readonly state: "up" }
  | { readonly state: "down"; readonly why: string };

export interface TargetBookOptions {
  readonly publish: (targets: readonly TargetFacts[]) => void;
  readonly lookup: HostsOptions["lookup"];
  readonly healthOf: (server: NumberedServer) => Health;
  /** A target came, went, or can take clients that could not: after it was published. */
  readonly changed: () => void;
}

export function createTargetBook(options: TargetBookOptions): TargetBook {
  const { publish, healthOf } = options;
  let current: readonly NumberedTarget[] = [];
  /** Gone from the settings: first those that nobody has replaced yet. */
  let replaced: readonly NumberedTarget[] = [];
  let retired: readonly NumberedTarget[] = [];
  const hosts = createHosts({ lookup: options.lookup, changed: tell });
  const retirements = new Set<NodeJS.Timeout>();
  const slots = createSlots<string>(maxSlots);
  const numberCaps = createCapNumbers();
  let nextId = 1;

  function facts(target: NumberedTarget): TargetFacts {
    const { announcementId, names, servers, balance, healthCheck, proxyProtocol, startTls, connectTimeoutMs } = target;
    const { cap } = target;
    const isUp = (server: NumberedServer) => healthCheck === undefined || healthOf(server).state === "up";
    return {
      announcementId,
      patterns: names,
      address: addressesOf(target),
      balance,
      servers: servers.map((server) => ({
        address: server.text,
        slot: server.slot,
        resolved: resolved(server.address),
        up: isUp(server),
      })),
      proxyProtocol,
      startTls,
      connectTimeoutMs,
      ...(cap === undefined ? {} : { cap }),
    };
  }

  function resolved(address: Address): readonly ResolvedAddress[] {
    if (address.kind === "unix") return [{ kind: "unix", path: address.path }];
    const ips = isIP(address.host) === 0 ? hosts.ips(address.host) : [address.host];
    return ips.map((ip) => ({ kind: "tcp", ip, port: address.port }));
  }

  function numbered(statement: TargetStatement): Omit<NumberedTarget, "cap"> {
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
    options.changed();
  }

  function isLookedUp(address: Address): boolean {
    return hostNames([address]).every(hosts.lookedUp);
  }

  function serving({ addresses, servers, healthCheck }: NumberedTarget): Serving {
    if (!addresses.every(isLookedUp)) return { state: "pending", why: "its names are being looked up" };
    if (healthCheck === undefined) return { state: "up" };
    const health = servers.map((server) => ({ ...healthOf(server), text: server.text }));
    if (health.some(({ state }) => state === "up")) return { state: "up" };
    const down = health.flatMap((one) => (one.state === "down" ? `${one.text}: ${one.why}` : []));
    if (down.length < health.length) return { state: "pending", why: "its addresses are being checked" };
    return { state: "down", why: down.join("; ") };
  }

  function isSettled(): boolean {
    return current.every((target) => serving(target).state !== "pending");
  }

  function follow(): void {
    hosts.follow(new Set(hostNames(everything().flatMap(({ addresses }) => addresses))));
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
      const caps = numberCaps(statements);
      const next = statements.map((statement, i) => {
        const before = known.get(fingerprint(statement))?.shift();
        return { ...(before === undefined ? numbered(statement) : { ...before, ...statement }), cap: caps[i] };
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
    serving,
    get settled() {
      return isSettled();
    },
    whereIs: ({ address }) => (isLookedUp(address) ? resolved(address) : undefined),
    healthChanged: tell,
    close() {
      hosts.close();
      for (const retirement of retirements) clearTimeout(retirement);
    },
  };
}

/** What has to be looked up. */
function hostNames(addresses: readonly Address[]): readonly string[] {
  return addresses.flatMap((address) => (address.kind === "tcp" && isIP(address.host) === 0 ? address.host : []));
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

/**
 * What makes a target another one. Weight and priority do not: they are announced anew under the same id; nor do cap and
 * queue, which only the data plane is told.
 */
function fingerprint(statement: TargetStatement): string {
  const { names, alpn, addresses, balance, healthCheck, proxyProtocol, startTls, connectTimeoutMs } = statement;
  const check = healthCheck && Object.entries(healthCheck).toSorted();
  return JSON.stringify([names, alpn, addresses, balance, check, proxyProtocol, startTls, connectTimeoutMs]);
}
