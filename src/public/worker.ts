import { createCounters } from "../base/counters.js";
import { stackOf } from "../base/errors.js";
import { bootWorker } from "../transport/epoll/boot.js";
import { type ClientTables, createClientTallies } from "./client-tallies.js";
import { startPublicDataPlane } from "./data-plane.js";
import { createLoads } from "./loads.js";
import type { FromPublicDataPlane, PublicDataPlaneConfig, ToPublicDataPlane } from "./messages.js";

/** What a worker of a public proxy is given. Its listening sockets are for `tls` or for `rendezvous`. */
export interface PublicWorkerRole {
  readonly config: PublicDataPlaneConfig;
  /** It accepts nobody until it is told to. */
  readonly holds: boolean;
  readonly counters: SharedArrayBuffer;
  readonly board: SharedArrayBuffer;
  readonly clientTables: ClientTables;
}

// The entry of a worker's thread: one data plane of a public proxy.
await bootWorker<PublicWorkerRole, ToPublicDataPlane, FromPublicDataPlane>(
  async ({ worker, replaces, role, transport, port, exchange, listening }) => {
    await startPublicDataPlane({
      transport,
      port,
      worker,
      replaces,
      counters: createCounters(role.counters),
      loads: createLoads(role.board, worker),
      tallies: createClientTallies(role.clientTables, worker),
      config: role.config,
      clientListen: listening("tls"),
      rendezvousListen: listening("rendezvous"),
      holds: role.holds,
      exchange: exchange.workers > 1 ? exchange : undefined,
    });
  },
  (port, error) => port.post({ type: "fault", message: stackOf(error) }),
);
