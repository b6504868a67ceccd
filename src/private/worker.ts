import { createCounters } from "../base/counters.js";
import { stackOf } from "../base/errors.js";
import { bootWorker } from "../transport/epoll/boot.js";
import { startPrivateDataPlane } from "./data-plane.js";
import type { FromPrivateDataPlane, PrivateDataPlaneConfig } from "./messages.js";
import { type ToPrivateWorker, withOffers } from "./offer-rows.js";
import { createServerLoads } from "./server-loads.js";

/** What a worker of a private proxy is given. */
export interface PrivateWorkerRole {
  readonly config: PrivateDataPlaneConfig;
  readonly counters: SharedArrayBuffer;
  /** Connections of each server. */
  readonly board: SharedArrayBuffer;
  readonly queueBoard: SharedArrayBuffer;
}

// The entry of a worker's thread: one data plane of a private proxy.
await bootWorker<PrivateWorkerRole, ToPrivateWorker, FromPrivateDataPlane>(
  ({ worker, role, transport, port, exchange }) =>
    startPrivateDataPlane({
      transport,
      port: withOffers(port),
      counters: createCounters(role.counters),
      loads: createServerLoads(role.board, worker),
      config: role.config,
      worker,
      exchange: exchange.workers > 1 ? exchange : undefined,
      queueBoard: role.queueBoard,
    }),
  (port, error) => port.post({ type: "fault", message: stackOf(error) }),
);
