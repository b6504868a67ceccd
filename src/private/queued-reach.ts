import type { Deadline } from "../base/deadline.js";
import { ProxyError } from "../base/errors.js";
import type { Connecting } from "../transport/transport.js";
import type { Place, Wait } from "./target-queue.js";

/** A connect to a target, which may have to wait for its place there first. */
export interface Reaching extends Connecting {
  /** By when the target must be ready for a hello. Final once it is connected. */
  readonly deadline: Deadline;
}

/** A dial under way, and by when the target it leads to must be ready. */
export function reaching({ connected, cancel }: Connecting, deadline: Deadline): Reaching {
  return { connected, cancel, deadline };
}

/**
 * Dials when the wait is over. `connected` throws what waiting throws, else what dialling does; after `cancel` that is
 * `offer_cancelled`. `cancel` gives the place up at once, unless the target is connected: then whoever has the endpoint has
 * the place too, and leaves it when the endpoint is closed.
 */
export function reachAfter(place: Place, wait: Wait, whileWaiting: Deadline, dial: () => Reaching): Reaching {
  let state: "waiting" | "dialling" | "connected" | "cancelled" = "waiting";
  let dialled: Reaching | undefined;

  async function reach() {
    await wait.over;
    // The place came in the very turn in which the client left.
    if (state === "cancelled") throw new ProxyError("offer_cancelled");
    state = "dialling";
    dialled = dial();
    const endpoint = await dialled.connected;
    if (state === "dialling") state = "connected";
    return endpoint;
  }

  const connected = reach();
  // Whoever waits for two connections at once may give this one up without having looked at it.
  connected.catch(() => {});
  return {
    connected,
    cancel() {
      dialled?.cancel();
      if (state === "connected") return;
      state = "cancelled";
      place.leave();
    },
    get deadline() {
      return dialled?.deadline ?? whileWaiting;
    },
  };
}
