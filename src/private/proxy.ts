import { readFileSync } from "node:fs";
import { createMetrics } from "../admin/metrics.js";
import { type CommandResult, startAdminServer } from "../admin/server.js";
import type { Status } from "../admin/status.js";
import { createCounters, readCounters } from "../base/counters.js";
import { atMost } from "../base/deadline.js";
import type { Log } from "../base/log.js";
import { inThreadPorts } from "../base/port.js";
import { softwareVersion } from "../base/version.js";
import { meshSecureContext } from "../mesh/client.js";
import type { PrivateSettings } from "../settings/types.js";
import { createNodeTransport } from "../transport/node/transport.js";
import { createPrivateControlPlane } from "./control-plane.js";
import { startPrivateDataPlane } from "./data-plane.js";
import { createEndpointRules } from "./endpoint-rules.js";
import type { FromPrivateDataPlane, PrivateDataPlaneConfig, ToPrivateDataPlane } from "./messages.js";

export interface PrivateProxyOptions {
  readonly settings: PrivateSettings;
  readonly log: Log;
  /** What `POST /reload` does. */
  readonly reload?: () => Promise<CommandResult>;
  /** Tests: every message between the planes goes through a structured clone. */
  readonly cloneMessages?: boolean;
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

/** Joins the two planes and admin. Throws `address_in_use` or `settings_invalid`; nothing stays open then. */
export async function startPrivateProxy(options: PrivateProxyOptions): Promise<PrivateProxy> {
  const { log } = options;
  let { settings } = options;
  const { mesh } = settings;
  const context = meshSecureContext({
    certificate: readFileSync(mesh.certificate),
    key: readFileSync(mesh.key),
    ca: readFileSync(mesh.ca),
  });
  const dataCounters = createCounters();
  const counters = () => readCounters([dataCounters.buffer]);
  const [controlPort, dataPort] = inThreadPorts<FromPrivateDataPlane, ToPrivateDataPlane>({
    clone: options.cloneMessages === true,
  });
  startPrivateDataPlane({
    transport: createNodeTransport(),
    port: dataPort,
    counters: dataCounters,
    config: dataPlaneConfig(settings),
  });
  const control = createPrivateControlPlane({
    name: settings.name,
    version: softwareVersion,
    log,
    port: controlPort,
    publics: mesh.publics.flatMap((address) => (address.kind === "tcp" ? [address] : [])),
    serverName: mesh.serverName,
    context,
    reconnect: mesh.reconnect,
    keepalive: mesh.keepalive,
    endpointRules: createEndpointRules(mesh.rendezvous),
    targets: settings.targets,
  });

  const startedAt = new Date();
  let state: "serving" | "draining" | "stopped" = "serving";
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
      connections: { opened, closed, live: opened - closed },
      bytes: { up: bytesUp, down: bytesDown },
      refused,
      software: softwareVersion,
      startedAt: startedAt.toISOString(),
      listening: { admin: admin.addresses },
    };
  };
  const metrics = createMetrics({
    counters,
    attachments: () => control.attached,
    announcements: () => control.accepted,
    pooledDialBacks: () => 0,
  });
  const admin = await startAdminServer({
    socket: settings.admin.socket,
    endpoints: {
      ready,
      status,
      metrics: () => metrics.expose(),
      commands: options.reload === undefined ? {} : { "/reload": options.reload },
    },
  }).catch(async (error: unknown) => {
    await control.close();
    throw error;
  });
  log.info({ version: softwareVersion, admin: admin.addresses }, "private proxy has started");

  async function end(): Promise<void> {
    if (state === "stopped") return;
    state = "stopped";
    await admin.close();
    await control.close();
    log.info({}, "private proxy has stopped");
  }

  return {
    adminAddresses: admin.addresses,
    status,
    reconfigure(next) {
      settings = next;
      log.setLevel(next.log.level);
      control.reconfigure(next.targets, dataPlaneConfig(next));
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

function dataPlaneConfig({ splice, log }: PrivateSettings): PrivateDataPlaneConfig {
  return {
    idleTimeoutMs: splice.idleTimeoutMs,
    halfClosedTimeoutMs: splice.halfClosedTimeoutMs,
    reportConnections: log.connections,
  };
}
