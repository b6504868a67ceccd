import type { Address } from "../base/address.js";
import type { LogLevel } from "../base/log.js";

/** The settings of a public proxy, checked and with every default filled in. Paths are absolute. */
export interface PublicSettings {
  readonly name: string;
  readonly tls: {
    readonly listen: readonly Address[];
    readonly helloTimeoutMs: number;
    readonly maxHelloBytes: number;
    /** Addresses and networks (CIDR) of load balancers, which must send a PROXY header. */
    readonly acceptProxyProtocol: readonly string[];
    readonly postgres: boolean;
  };
  readonly rendezvous: {
    readonly listen: readonly Address[];
    /** `host:port`, `[v6]:port` or `:port`, as private proxies are to dial it. Empty: the ports of `listen`, on the mesh's host. */
    readonly advertise: readonly string[];
    readonly prefaceTimeoutMs: number;
    readonly attemptTimeoutMs: number;
    readonly deadlineMs: number;
    readonly pooledWaitMs: number;
    readonly startupHoldMs: number;
  };
  readonly mesh: MeshCertificates & {
    readonly listen: readonly Address[];
    readonly keepalive: Keepalive;
  };
  readonly grants: readonly Grant[];
  readonly limits: {
    readonly connections: number;
    readonly perClientAddress?: number;
    readonly perName?: number;
    /** Connections and unanswered offers of one session. */
    readonly perPrivateProxy?: number;
    readonly parked: number;
    readonly pooledPerPrivateProxy: number;
    readonly halfOpenHellos: number;
  };
  readonly admin: { readonly listen?: readonly Address[]; readonly socket?: string; readonly token?: string };
  readonly splice: SpliceLimits;
  readonly shutdown: { readonly graceMs: number };
  readonly transport: TransportSettings;
  readonly state: { readonly directory?: string };
  readonly log: LogSettings;
}

/** The settings of a private proxy, checked and with every default filled in. Paths are absolute. */
export interface PrivateSettings {
  readonly name: string;
  readonly mesh: MeshCertificates & {
    /** Where the public proxies' mesh ports are. */
    readonly publics: readonly Address[];
    /** The name that the public proxy's certificate must bear; empty: the host that is dialled. */
    readonly serverName: string;
    /** Further hosts or CIDRs, with or without a port, that may be dialled for a rendezvous. */
    readonly rendezvous: readonly string[];
    readonly reconnect: { readonly minMs: number; readonly maxMs: number };
    readonly keepalive: Keepalive;
  };
  readonly targets: readonly TargetSettings[];
  readonly pool: PoolSettings;
  readonly admin: { readonly socket?: string };
  readonly splice: SpliceLimits;
  readonly shutdown: { readonly graceMs: number };
  readonly transport: TransportSettings;
  readonly state: { readonly directory?: string };
  readonly log: LogSettings;
}

/** PEM files. */
export interface MeshCertificates {
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
}

export interface Keepalive {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** Which names an identity may announce. `identity` is `dns:NAME`, `uri:URI`, or a bare NAME, which means `dns:`. */
export interface Grant {
  readonly identity: string;
  readonly names: readonly string[];
  readonly shared: boolean;
  readonly balance: BalanceMethod;
}

/** As `balance/method.ts` has them. */
export type BalanceMethod = "least-connections" | "round-robin" | "random-two" | "source-ip";

export interface TargetSettings {
  readonly names: readonly string[];
  readonly alpn: readonly string[];
  /** At least one address, here or in `addresses`. */
  readonly address?: Address;
  readonly addresses: readonly Address[];
  readonly balance: "least-connections" | "round-robin" | "random-two" | "source-ip";
  readonly weight: number;
  readonly priority: number;
  readonly healthCheck?: HealthCheckSettings;
  readonly proxyProtocol: "none" | "v1" | "v2";
  readonly startTls: "none" | "postgres";
  readonly connectTimeoutMs: number;
  readonly maxConnections?: number;
  readonly queue: { readonly max: number; readonly timeoutMs: number };
}

/** Dial-backs that are parked in advance. */
export interface PoolSettings {
  /** At each public proxy. */
  readonly minIdle: number;
  readonly maxIdle: number;
  /** At all of them together. */
  readonly max: number;
  /** 0: however old. */
  readonly maxAgeMs: number;
}

export interface HealthCheckSettings {
  readonly type: "tcp" | "tls";
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly rise: number;
  readonly fall: number;
}

export interface SpliceLimits {
  readonly idleTimeoutMs: number;
  readonly halfClosedTimeoutMs: number;
}

export interface TransportSettings {
  readonly engine: "auto" | "epoll" | "node";
  /** Threads of the epoll engine; 0: one for each core. */
  readonly workers: number;
  /** In all threads together. */
  readonly maxPipes: number;
}

export interface LogSettings {
  readonly level: LogLevel;
  readonly format: "auto" | "json" | "pretty";
  readonly file?: string;
  /** One line per connection, at its end. */
  readonly connections: boolean;
}
