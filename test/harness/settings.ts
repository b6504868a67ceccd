import { type Address, isAddress, parseAddress } from "../../src/base/address.js";
import type { Grant, PrivateSettings, PublicSettings, TargetSettings } from "../../src/settings/types.js";
import { serverName, type TestCertificates } from "./certificates.js";

type Deep<T> = {
  readonly [K in keyof T]?: T[K] extends readonly unknown[] ? T[K] : T[K] extends object ? Deep<T[K]> : T[K];
};

/** What a test sets; of a grant only what is no default. */
export type PublicChanges = Deep<Omit<PublicSettings, "grants">> & {
  readonly grants?: readonly (Partial<Grant> & Pick<Grant, "identity" | "names">)[];
};

export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (!isAddress(parsed)) throw new Error(`${text}: ${parsed.problem}`);
  return parsed;
}

/** Settings of a public proxy on ports of the system's choice. Time limits are the defaults, but for the hold. */
export function publicSettings(
  certificates: TestCertificates,
  { grants, ...changes }: PublicChanges = {},
): PublicSettings {
  const settings: PublicSettings = {
    name: "public-proxy-1",
    tls: {
      listen: [address("127.0.0.1:0")],
      helloTimeoutMs: 10_000,
      maxHelloBytes: 65_536,
      acceptProxyProtocol: [],
      postgres: false,
    },
    rendezvous: {
      listen: [address("127.0.0.1:0")],
      advertise: [],
      prefaceTimeoutMs: 5000,
      attemptTimeoutMs: 3000,
      deadlineMs: 10_000,
      pooledWaitMs: 0,
      startupHoldMs: 500,
    },
    mesh: {
      ...certificates.files("public-proxy-1"),
      listen: [address("127.0.0.1:0")],
      keepalive: { intervalMs: 5000, timeoutMs: 5000 },
    },
    grants: (grants ?? [{ identity: "private-proxy-1", names: [serverName, "*.internal-server.local"] }]).map(
      (grant) => ({ shared: false, balance: "least-connections", ...grant }),
    ),
    limits: { connections: 10_000, parked: 10_000, pooledPerPrivateProxy: 256, halfOpenHellos: 4096 },
    admin: {},
    splice: { idleTimeoutMs: 3_600_000, halfClosedTimeoutMs: 60_000 },
    shutdown: { graceMs: 1000 },
    transport: engineUnderTest(),
    state: {},
    log: { level: "debug", format: "json", connections: true },
  };
  return merge(settings, changes);
}

/** Settings of a private proxy with one target. */
export function privateSettings(
  certificates: TestCertificates,
  publics: readonly string[],
  targets: readonly Partial<TargetSettings>[],
  changes: Deep<PrivateSettings> = {},
): PrivateSettings {
  const settings: PrivateSettings = {
    name: "private-proxy-1",
    mesh: {
      ...certificates.files("private-proxy-1"),
      publics: publics.map(address),
      serverName: "",
      rendezvous: [],
      reconnect: { minMs: 20, maxMs: 200 },
      keepalive: { intervalMs: 5000, timeoutMs: 5000 },
    },
    targets: targets.map((target) => ({
      names: [serverName],
      alpn: [],
      addresses: [],
      balance: "least-connections",
      weight: 1,
      priority: 0,
      proxyProtocol: "none",
      startTls: "none",
      connectTimeoutMs: 3000,
      queue: { max: 1024, timeoutMs: 5000 },
      ...target,
    })),
    // Tests count sockets: those of the pool switch it on.
    pool: { minIdle: 0, maxIdle: 0, max: 64, maxAgeMs: 300_000 },
    admin: {},
    splice: { idleTimeoutMs: 3_600_000, halfClosedTimeoutMs: 60_000 },
    shutdown: { graceMs: 1000 },
    transport: engineUnderTest(),
    state: {},
    log: { level: "debug", format: "json", connections: true },
  };
  return merge(settings, changes);
}

/** What the pair runs on in tests: the node engine, or what PROXY_TEST_ENGINE names, with two workers. */
export function engineUnderTest(): PublicSettings["transport"] {
  const engine = process.env.PROXY_TEST_ENGINE ?? "node";
  if (engine !== "node" && engine !== "epoll") throw new Error(`PROXY_TEST_ENGINE: there is no engine ${engine}`);
  return { engine, workers: 2, maxPipes: 256 };
}

function merge<T>(base: T, changes: Deep<T>): T {
  const merged = { ...base } as Record<string, unknown>;
  for (const [key, value] of Object.entries(changes)) {
    const isMap = typeof value === "object" && value !== null && !Array.isArray(value);
    merged[key] = isMap ? merge(merged[key] ?? {}, value as object) : value;
  }
  return merged as T;
}
