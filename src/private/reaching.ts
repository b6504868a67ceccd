import { choose } from "../balance/choose.js";
import { type Deadline, deadlineIn, msLeft, sooner } from "../base/deadline.js";
import { ProxyError } from "../base/errors.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { Connecting, Transport } from "../transport/transport.js";
import { dialInTurn } from "./dialling.js";
import type { Server, Target } from "./targets.js";

export interface ReachOptions {
  readonly target: Target;
  /** The client's address, as an offer or a PROXY header gives it: `ip:port`, or anything else where it has none. */
  readonly client: string;
  readonly deadline: Deadline;
  readonly loadOf: (server: Server) => number;
  /** Called with each server before it is dialled; the last one is the one that was reached. */
  readonly trying: (server: Server) => void;
}

/**
 * Dials one server of the target: of those that are up the one whose turn it is, and where that one cannot be reached the
 * next, each within its share of the time that is left. `connected` throws `target_unreachable` when none could be
 * reached, `offer_cancelled` after `cancel`.
 */
export function reachServer(transport: Transport, options: ReachOptions): Connecting {
  const { target, deadline } = options;
  let cancelled = false;
  let current: Connecting | undefined;

  async function reach(): Promise<Endpoint> {
    let untried = target.servers.filter(({ up }) => up);
    let last: unknown;
    const source = hostOf(options.client);
    while (!cancelled) {
      const next = choose({ method: target.balance, among: untried, loadOf: options.loadOf, source });
      if (next === undefined) throw last ?? new ProxyError("target_unreachable", `target ${target.address} is down`);
      options.trying(next);
      current = dialInTurn(transport, {
        addresses: next.resolved,
        deadline: sooner(deadlineIn(msLeft(deadline) / untried.length, deadline.code), deadline),
        code: "target_unreachable",
        what: `target ${next.address}`,
      });
      try {
        return await current.connected;
      } catch (error) {
        last = error;
        if (msLeft(deadline) === 0) throw error;
      }
      untried = untried.filter((server) => server !== next);
    }
    throw new ProxyError("offer_cancelled");
  }

  const connected = reach();
  // Whoever waits for two connections at once may give this one up without having looked at it.
  connected.catch(() => {});
  return {
    connected,
    cancel() {
      cancelled = true;
      current?.cancel();
    },
  };
}

/** The IP address of `ip:port` or `[v6]:port`. */
function hostOf(client: string): string | undefined {
  const match = /^\[([^\]]+)\]:\d+$|^([\d.]+):\d+$/.exec(client);
  return match?.[1] ?? match?.[2];
}
