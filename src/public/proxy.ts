import { readFileSync } from "node:fs";
import { commandsOf } from "../admin/commands.js";
import { createMetrics } from "../admin/metrics.js";
import { type AdminServer, type CommandResult, startAdminServer } from "../admin/server.js";
import type { RunState, Status } from "../admin/status.js";
import { createCounters, readCounters } from "../base/counters.js";
import { atMost } from "../base/deadline.js";
import { codeOf, messageOf } from "../base/errors.js";
import type { Log } from "../base/log.js";
import { softwareVersion } from "../base/version.js";
import { startMeshServer } from "../mesh/server.js";
import type { PublicSettings } from "../settings/types.js";
import { addressText } from "../transport/address-text.js";
import { descriptorLimit } from "../transport/descriptors.js";
import type { EndpointAddress } from "../transport/endpoint.js";
import type { PassedSocket } from "../transport/passed-sockets.js";
import { createPublicControlPlane } from "./control-plane.js";
import { descriptorNeed } from "./descriptor-need.js";
import { createGrants } from "./grants.js";
import type { PublicDataPlaneConfig } from "./messages.js";
import { openSockets } from "./sockets.js";
import { startDataPlanes } from "./start-data-planes.js";
import { takeOver } from "./take-over.js";

/** Clients wait in the system's queue meanwhile. */
const longestPauseMs = 10_000;

export interface PublicProxyOptions {
  readonly settings: PublicSettings;
  readonly log: Log;
  /** What `POST /reload` does. */
  readonly reload?: () => Promise<CommandResult>;
  /** `POST /drain` calls it; it is to stop the proxy, and is called again where that is asked for again. */
  readonly drain?: () => void;
  /** Listening sockets that the service manager has opened. */
  readonly passed?: readonly PassedSocket[];
  /** Tests: every message between the planes goes through a structured clone. */
  readonly cloneMessages?: boolean;
  /** Tests: another entry for the workers of the epoll engine. */
  readonly workerEntry?: URL;
}

/** A running public proxy. */
export interface PublicProxy {
  readonly clientAddresses: readonly EndpointAddress[];
  readonly rendezvousAddresses: readonly EndpointAddress[];
  readonly meshAddresses: readonly string[];
  readonly adminAddresses: readonly string[];
  status(): Status;
  /** Takes over grants, limits and time limits. Addresses and certificates stay as they were. */
  reconfigure(settings: PublicSettings): void;
  /** Stops accepting, lets live splices finish for up to `shutdown.graceMs`, ends. A second call ends at once. */
  stop(): Promise<void>;
}

/** Joins the two planes, mesh and admin. Throws `address_in_use`, `address_unavailable`, `engine_unavailable`, `settings_invalid`; nothing stays open then. */
export async function startPublicProxy(options: PublicProxyOptions): Promise<PublicProxy> {
  const { log } = options;
  let { settings } = options;
  const controlCounters = createCounters();
  const undo: (() => Promise<void>)[] = [];

  try {
    const sockets = await openSockets(settings, options.passed ?? [], log);
    const { inherited, predecessor } = sockets;
    const holds = predecessor !== undefined;
    undo.push(async () => sockets.close());
    const dataPlanes = await startDataPlanes({
      settings,
      inherited,
      holds,
      handsOver: sockets.handsOver,
      config: { ...dataPlaneConfig(settings), grantedPatterns: createGrants(settings.grants).patterns },
      log,
      cloneMessages: options.cloneMessages === true,
      workerEntry: options.workerEntry,
    });
    undo.push(() => dataPlanes.stop());
    const counters = () => readCounters([...dataPlanes.counters, controlCounters.buffer]);
    const control = createPublicControlPlane({
      name: settings.name,
      version: softwareVersion,
      log,
      port: dataPlanes.port,
      grants: settings.grants,
      config: dataPlaneConfig(settings),
      rendezvousEndpoints: advertised(settings, dataPlanes.rendezvousAddresses),
      keepalive: settings.mesh.keepalive,
      counters,
      holds,
      refuse: (code) => controlCounters.refuse(code),
    });
    undo.push(() => control.close());
    const mesh = await startMeshServer({
      listen: settings.mesh.listen,
      descriptors: sockets.mesh.inheritable,
      holds,
      pem: {
        certificate: readFileSync(settings.mesh.certificate),
        key: readFileSync(settings.mesh.key),
        ca: readFileSync(settings.mesh.ca),
      },
      keepalive: settings.mesh.keepalive,
      ...control.mesh,
    });
    undo.push(() => mesh.close());

    const startedAt = new Date();
    let state: RunState = "serving";
    const status = (): Status => {
      const { opened, closed, bytesUp, bytesDown, refused } = counters();
      return {
        version: 1,
        role: "public",
        name: settings.name,
        ready: state === "serving",
        attachments: control.attachments().map((attachment) => ({ ...attachment })),
        announcements: control.announcements().map((announcement) => ({ ...announcement })),
        connections: { opened, closed, live: opened - closed },
        bytes: { up: bytesUp, down: bytesDown },
        pooledDialBacks: dataPlanes.pooled(),
        refused,
        software: softwareVersion,
        startedAt: startedAt.toISOString(),
        state,
        listening,
        engine: dataPlanes.engine,
        workers: dataPlanes.workers(),
      };
    };
    const metrics = createMetrics({
      counters,
      attachments: () => control.attached,
      announcements: () => control.accepted,
      pooledDialBacks: () => dataPlanes.pooled(),
    });
    if (predecessor !== undefined) {
      await takeOver(predecessor, { control, mesh, log });
    }
    const startedAdmin = startAdminServer({
      ...settings.admin,
      descriptors: inherited.filter(({ use }) => use === "admin"),
      endpoints: {
        ready: () => state === "serving",
        state: () => state,
        status,
        metrics: () => metrics.expose(),
        commands: commandsOf(options, () => ({ live: status().connections.live, graceMs: settings.shutdown.graceMs })),
      },
    });
    const admin: AdminServer = await startedAdmin.catch((error: unknown) => {
      if (!holds) throw error;
      // Clients come here by now, and nowhere else.
      log.error({ reason: codeOf(error), detail: messageOf(error) }, "without an admin endpoint");
      return { addresses: [], close: async () => {} };
    });
    undo.push(() => admin.close());

    const { engine, why } = dataPlanes;
    const workers = dataPlanes.workers().length;
    const listening = {
      tls: dataPlanes.clientAddresses.map(addressText),
      rendezvous: dataPlanes.rendezvousAddresses.map(addressText),
      mesh: mesh.addresses,
      admin: admin.addresses,
    };
    /** Told before clients find out: at the limit they wait, or are turned away. */
    function warnOfDescriptors(): void {
      const limit = descriptorLimit();
      const needed = descriptorNeed(settings, engine, workers);
      if (limit >= needed) return;
      log.warn(
        { limit, needed, connections: settings.limits.connections },
        "there are fewer descriptors than limits.connections may need: raise the process's limit (ulimit -n, LimitNOFILE), or lower limits.connections",
      );
    }

    let isStopping = false;

    function beginDrain(why: string): void {
      if (state !== "serving") return;
      state = "draining";
      mesh.setServing(false);
      const { live } = status().connections;
      log.info({ live, graceMs: settings.shutdown.graceMs }, why);
      mesh.stopListening();
      control.tellDrain();
    }

    async function stop(): Promise<void> {
      if (isStopping) return end();
      isStopping = true;
      beginDrain("public proxy is stopping");
      await atMost(control.drain(), settings.shutdown.graceMs);
      await end();
    }

    await sockets.awaitSuccessor({
      name: settings.name,
      listeners: [...dataPlanes.inheritable, ...sockets.mesh.inheritable],
      async begin() {
        beginDrain("public proxy is handing over");
        dataPlanes.handedOver();
        sockets.mesh.handedOver();
        await admin.close();
        return control.expected();
      },
      stopAccepting: () => control.stopAccepting(Math.min(settings.rendezvous.attemptTimeoutMs, longestPauseMs)),
      done: () => (options.drain === undefined ? void stop() : options.drain()),
    });

    log.info({ listening, version: softwareVersion, engine, why, workers }, "public proxy is ready");
    warnOfDescriptors();

    async function end(): Promise<void> {
      if (state === "stopped") return;
      state = "stopped";
      for (const step of undo.reverse()) await step();
      log.info({}, "public proxy has stopped");
    }

    return {
      clientAddresses: dataPlanes.clientAddresses,
      rendezvousAddresses: dataPlanes.rendezvousAddresses,
      meshAddresses: mesh.addresses,
      adminAddresses: admin.addresses,
      status,
      reconfigure(next) {
        const isOtherLimit = next.limits.connections !== settings.limits.connections;
        settings = next;
        log.setLevel(next.log.level);
        if (isOtherLimit) warnOfDescriptors();
        control.reconfigure(next.grants, dataPlaneConfig(next));
      },
      stop,
    };
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}

function dataPlaneConfig(settings: PublicSettings): Omit<PublicDataPlaneConfig, "grantedPatterns"> {
  const { tls, rendezvous, splice, limits, log } = settings;
  return {
    helloTimeoutMs: tls.helloTimeoutMs,
    maxHelloBytes: tls.maxHelloBytes,
    acceptProxyProtocol: tls.acceptProxyProtocol,
    postgres: tls.postgres,
    prefaceTimeoutMs: rendezvous.prefaceTimeoutMs,
    attemptTimeoutMs: rendezvous.attemptTimeoutMs,
    deadlineMs: rendezvous.deadlineMs,
    startupHoldMs: rendezvous.startupHoldMs,
    idleTimeoutMs: splice.idleTimeoutMs,
    halfClosedTimeoutMs: splice.halfClosedTimeoutMs,
    maxConnections: limits.connections,
    maxPerPrivateProxy: limits.perPrivateProxy,
    maxParked: limits.parked,
    maxHalfOpenHellos: limits.halfOpenHellos,
    maxPooledPerPrivateProxy: limits.pooledPerPrivateProxy,
    pooledWaitMs: rendezvous.pooledWaitMs,
    maxPerClientAddress: limits.perClientAddress,
    maxPerName: limits.perName,
    reportConnections: log.connections,
  };
}

/** Without `advertise`, the ports that it listens on, at whatever host the private proxy dialled for the mesh. */
function advertised(settings: PublicSettings, bound: readonly EndpointAddress[]): readonly string[] {
  if (settings.rendezvous.advertise.length > 0) return settings.rendezvous.advertise;
  return bound.flatMap((address) => (address.family === "unix" ? [] : [`:${address.port}`]));
}
