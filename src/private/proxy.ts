import { readFileSync } from "node:fs";
import { commandsOf } from "../admin/commands.js";
import { createMetrics } from "../admin/metrics.js";
import { type CommandResult, startAdminServer } from "../admin/server.js";
import type { RunState, Status } from "../admin/status.js";
import { readCounters } from "../base/counters.js";
import { atMost } from "../base/deadline.js";
import type { Log } from "../base/log.js";
import { softwareVersion } from "../base/version.js";
import { meshSecureContext } from "../mesh/client.js";
import type { PrivateSettings, TargetSettings } from "../settings/types.js";
import { createPrivateControlPlane } from "./control-plane.js";
import { createEndpointRules } from "./endpoint-rules.js";
import type { PrivateDataPlaneConfig } from "./messages.js";
import { startDataPlanes } from "./start-data-planes.js";
import type { TargetStatement } from "./target-book.js";

export interface PrivateProxyOptions {
  readonly settings: PrivateSettings;
  readonly log: Log;
  /** What `POST /reload` does. */
  readonly reload?: () => Promise<CommandResult>;
  /** `POST /drain` calls it; it is to stop the proxy, and is called again where that is asked for again. */
  readonly drain?: () => void;
  /** Tests: every message between the planes goes through a structured clone. */
  readonly cloneMessages?: boolean;
  /** Tests: another entry for the workers of the epoll engine. */
  readonly workerEntry?: URL;
}

/** A running private proxy. It listens on no TCP port. */
export interface PrivateProxy {
  readonly adminAddresses: readonly string[];
  status(): Status;
  /** Takes over targets and time limits. Public proxies and certificates stay as they were. */
  reconfigure(settings: PrivateSettings): void;
  /** Takes no more offers, lets live splices finish for up to `shutdown.graceMs`, ends. A second call ends at once. */
  stop(): Promise<void>;
}

/** Joins the two planes and admin. Throws `address_in_use`, `engine_unavailable` or `settings_invalid`; nothing stays open then. */
export async function startPrivateProxy(options: PrivateProxyOptions): Promise<PrivateProxy> {
  const { log } = options;
  let { settings } = options;
  const { mesh } = settings;
  const context = meshSecureContext({
    certificate: readFileSync(mesh.certificate),
    key: readFileSync(mesh.key),
    ca: readFileSync(mesh.ca),
  });
  const dataPlanes = await startDataPlanes({
    settings,
    config: dataPlaneConfig(settings),
    log,
    cloneMessages: options.cloneMessages === true,
    workerEntry: options.workerEntry,
  });
  const counters = () => readCounters(dataPlanes.counters);
  const control = createPrivateControlPlane({
    name: settings.name,
    version: softwareVersion,
    log,
    port: dataPlanes.port,
    publics: mesh.publics.flatMap((address) => (address.kind === "tcp" ? [address] : [])),
    serverName: mesh.serverName,
    context,
    reconnect: mesh.reconnect,
    keepalive: mesh.keepalive,
    endpointRules: createEndpointRules(mesh.rendezvous),
    targets: settings.targets.map(targetStatement),
    pool: settings.pool,
    connections: dataPlanes.connections,
    queueLoad: dataPlanes.queueLoad,
  });

  const startedAt = new Date();
  let state: RunState = "serving";
  const ready = () => state === "serving" && control.attached > 0;
  const status = (): Status => {
    const { opened, closed, bytesUp, bytesDown, refused } = counters();
    return {
      version: 1,
      role: "private",
      name: settings.name,
      ready: ready(),
      attachments: control.attachments().map((attachment) => ({ ...attachment })),
      announcements: control.announcements().map((announcement) => ({ ...announcement })),
      targets: control.targets(),
      connections: { opened, closed, live: opened - closed },
      bytes: { up: bytesUp, down: bytesDown },
      pooledDialBacks: control.pooled,
      refused,
      software: softwareVersion,
      startedAt: startedAt.toISOString(),
      state,
      listening: { admin: admin.addresses },
      engine: dataPlanes.engine,
      workers: dataPlanes.workers(),
    };
  };
  const metrics = createMetrics({
    counters,
    attachments: () => control.attached,
    announcements: () => control.accepted,
    pooledDialBacks: () => control.pooled,
  });
  const admin = await startAdminServer({
    socket: settings.admin.socket,
    endpoints: {
      ready,
      state: () => state,
      status,
      metrics: () => metrics.expose(),
      commands: commandsOf(options, () => ({ live: status().connections.live, graceMs: settings.shutdown.graceMs })),
    },
  }).catch(async (error: unknown) => {
    await control.close();
    await dataPlanes.stop();
    throw error;
  });
  const { engine, why } = dataPlanes;
  const workers = dataPlanes.workers().length;
  log.info({ version: softwareVersion, admin: admin.addresses, engine, why, workers }, "private proxy has started");

  async function end(): Promise<void> {
    if (state === "stopped") return;
    state = "stopped";
    await admin.close();
    await control.close();
    await dataPlanes.stop();
    log.info({}, "private proxy has stopped");
  }

  return {
    adminAddresses: admin.addresses,
    status,
    reconfigure(next) {
      settings = next;
      log.setLevel(next.log.level);
      control.reconfigure({ targets: next.targets.map(targetStatement), pool: next.pool }, dataPlaneConfig(next));
    },
    async stop() {
      if (state !== "serving") return end();
      state = "draining";
      const { live } = status().connections;
      log.info({ live, graceMs: settings.shutdown.graceMs }, "private proxy is stopping");
      await atMost(control.drain(), settings.shutdown.graceMs);
      await end();
    },
  };
}

function dataPlaneConfig({ pool, splice, log }: PrivateSettings): PrivateDataPlaneConfig {
  return {
    pooledMaxAgeMs: pool.maxAgeMs,
    idleTimeoutMs: splice.idleTimeoutMs,
    halfClosedTimeoutMs: splice.halfClosedTimeoutMs,
    reportConnections: log.connections,
  };
}

function targetStatement({ address, addresses, ...target }: TargetSettings): TargetStatement {
  return { ...target, addresses: address === undefined ? addresses : [address, ...addresses] };
}
