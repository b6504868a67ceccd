import type { ExecutionContext } from "ava";
import { type PrivateProxy, type PrivateProxyOptions, startPrivateProxy } from "../../src/private/proxy.js";
import { type PublicProxy, type PublicProxyOptions, startPublicProxy } from "../../src/public/proxy.js";
import type { PrivateSettings, PublicSettings, TargetSettings } from "../../src/settings/types.js";
import { serverName, type TestCertificates } from "./certificates.js";
import { type MemoryLog, memoryLog } from "./memory-log.js";
import { type PublicChanges, privateSettings, publicSettings } from "./settings.js";

export interface RunningPublic {
  readonly proxy: PublicProxy;
  readonly log: MemoryLog;
  readonly settings: PublicSettings;
  readonly clientPort: number;
  readonly rendezvousPort: number;
  /** `127.0.0.1:port` of the mesh. */
  readonly mesh: string;
}

export interface RunningPrivate {
  readonly proxy: PrivateProxy;
  readonly log: MemoryLog;
  readonly settings: PrivateSettings;
}

type PrivateChanges = Parameters<typeof privateSettings>[3];
type Targets = readonly Partial<TargetSettings>[];

/** A public proxy in this process, stopped when the test ends. Messages between its planes are cloned, to show that they can be. */
export async function startPublic(
  t: ExecutionContext,
  certificates: TestCertificates,
  changes: PublicChanges = {},
  more: Pick<PublicProxyOptions, "workerEntry"> = {},
): Promise<RunningPublic> {
  const log = memoryLog();
  const settings = publicSettings(certificates, changes);
  const proxy = await startPublicProxy({ settings, log, cloneMessages: true, ...more });
  t.teardown(() => stopNow(proxy));
  return {
    proxy,
    log,
    settings,
    get clientPort() {
      return portOf(proxy.clientAddresses[0]);
    },
    rendezvousPort: portOf(proxy.rendezvousAddresses[0]),
    mesh: proxy.meshAddresses[0]!,
  };
}

/** A private proxy in this process, stopped when the test ends. Resolves when it has started, attached or not. */
export async function startPrivate(
  t: ExecutionContext,
  certificates: TestCertificates,
  publics: readonly string[],
  targets: Targets,
  changes: PrivateChanges = {},
  more: Pick<PrivateProxyOptions, "workerEntry"> = {},
): Promise<RunningPrivate> {
  const log = memoryLog();
  const settings = privateSettings(certificates, publics, targets, changes);
  const proxy = await startPrivateProxy({ settings, log, cloneMessages: true, ...more });
  t.teardown(() => stopNow(proxy));
  return { proxy, log, settings };
}

export interface Pair {
  readonly public: RunningPublic;
  readonly private: RunningPrivate;
}

/** Both proxies, attached, with every name of the targets announced and accepted. */
export async function startPair(
  t: ExecutionContext,
  certificates: TestCertificates,
  targets: Targets,
  changes: { readonly public?: PublicChanges; readonly private?: PrivateChanges } = {},
  entries: { readonly public?: URL; readonly private?: URL } = {},
): Promise<Pair> {
  const entry = (workerEntry: URL | undefined) => (workerEntry === undefined ? {} : { workerEntry });
  const publicProxy = await startPublic(t, certificates, changes.public, entry(entries.public));
  const privateProxy = await startPrivate(
    t,
    certificates,
    [publicProxy.mesh],
    targets,
    changes.private,
    entry(entries.private),
  );
  for (const name of targets.flatMap((target) => target.names ?? [serverName])) await announced(publicProxy, name);
  return { public: publicProxy, private: privateProxy };
}

/** Resolves when the public proxy has accepted a name. */
export async function announced(running: RunningPublic, name: string): Promise<void> {
  await running.log.line((line) => line.message === "name announced" && line.fields.name === name);
}

/** Tests do not wait for grace: the first call starts the orderly stop, the second ends it. */
async function stopNow(proxy: { stop(): Promise<void> }): Promise<void> {
  const stopped = proxy.stop();
  await proxy.stop();
  await stopped;
}

function portOf(address: PublicProxy["clientAddresses"][number] | undefined): number {
  if (address === undefined || address.family === "unix") throw new Error("not a TCP address");
  return address.port;
}
