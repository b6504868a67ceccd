import type { Address } from "../../base/address.js";
import type { EndpointAddress } from "../endpoint.js";
import { type BoundSocket, bindListening } from "./bind.js";
import { loadLibc } from "./libc.js";
import type { GivenListener } from "./transport.js";

/** A listening socket, and what its clients are to a role. */
export interface UsedListener extends GivenListener {
  readonly use: string;
}

/** A listening socket of one worker. It is bound on the main thread, so that its queue outlives the worker. */
export interface WorkerListener extends UsedListener {
  /** To be called when nobody listens on it any more. */
  closed(): void;
}

export interface WorkerListeners {
  readonly byWorker: readonly (readonly WorkerListener[])[];
  /** Where clients can connect, in the order of what was asked for. */
  bound(use: string): readonly EndpointAddress[];
}

/**
 * Binds every address once for each worker; the system spreads the clients over them (SO_REUSEPORT). A unix socket cannot
 * be shared so: it is the first worker's alone. Throws `address_in_use` or `address_unavailable`, with nothing left open.
 */
export async function bindForWorkers(
  workers: number,
  uses: Readonly<Record<string, readonly Address[]>>,
): Promise<WorkerListeners> {
  const byWorker: WorkerListener[][] = Array.from({ length: workers }, () => []);
  const bound = new Map<string, EndpointAddress[]>();
  try {
    for (const [use, addresses] of Object.entries(uses)) {
      const places: EndpointAddress[] = [];
      bound.set(use, places);
      for (const address of addresses) {
        const sockets = await bindTimes(address.kind === "unix" ? 1 : workers, address);
        sockets.forEach((socket, worker) => {
          // Under the address that it is bound to: several may have been asked for as port 0 of one host.
          const at = concrete(address, socket.address);
          byWorker[worker]!.push({
            use,
            address: at,
            descriptor: socket.descriptor,
            bound: socket.address,
            closed: socket.closed,
          });
        });
        places.push(sockets[0]!.address);
      }
    }
  } catch (error) {
    closeListeners(byWorker.flat());
    throw error;
  }
  return { byWorker, bound: (use) => bound.get(use) ?? [] };
}

/** Closes what nobody was given. */
export function closeListeners(listeners: readonly WorkerListener[]): void {
  for (const { descriptor, closed } of listeners) {
    loadLibc().close(descriptor);
    closed();
  }
}

async function bindTimes(count: number, address: Address): Promise<BoundSocket[]> {
  const libc = loadLibc();
  if (count === 1) return [await bindListening(libc, address, { reusePort: false })];
  await assertFree(address);
  const sockets: BoundSocket[] = [];
  try {
    for (let at: Address = address; sockets.length < count; at = concrete(address, sockets[0]!.address)) {
      sockets.push(await bindListening(libc, at, { reusePort: true }));
    }
    return sockets;
  } catch (error) {
    for (const { descriptor } of sockets) libc.close(descriptor);
    throw error;
  }
}

/**
 * SO_REUSEPORT would let a second proxy of the same user listen on the same address, and take half of the clients. So the
 * address is bound once without it. Where the system chooses the port, it chooses a free one.
 */
async function assertFree(address: Address): Promise<void> {
  if (address.kind === "tcp" && address.port === 0) return;
  const libc = loadLibc();
  const probe = await bindListening(libc, address, { reusePort: false });
  libc.close(probe.descriptor);
}

function concrete(asked: Address, bound: EndpointAddress): Address {
  if (asked.kind === "unix" || bound.family === "unix") return asked;
  return { kind: "tcp", host: bound.address, port: bound.port };
}
