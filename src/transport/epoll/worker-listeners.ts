import { type Address, formatAddress } from "../../base/address.js";
import { ProxyError } from "../../base/errors.js";
import type { EndpointAddress } from "../endpoint.js";
import type { GivenListener, InheritedListener, ListeningUse } from "../inherited.js";
import { fDuplicate } from "./abi.js";
import { type BoundSocket, bindListening, removeSocketFile } from "./bind.js";
import { errorText } from "./error-text.js";
import { loadLibc } from "./libc.js";

/** A listening socket, and what its clients are to a role. */
export interface UsedListener extends GivenListener {
  readonly use: ListeningUse;
}

/** A listening socket of one worker. It is bound on the main thread, so that its queue outlives the worker. */
export interface WorkerListener extends UsedListener {
  /** What was asked for, where `address` is what became of it. */
  readonly asked: Address;
  /** To be called when nobody listens on it any more. */
  closed(): void;
}

export interface WorkerListeners {
  readonly byWorker: readonly (readonly WorkerListener[])[];
  /** Where clients can connect, in the order of what was asked for. */
  bound(use: ListeningUse): readonly EndpointAddress[];
  /** All of them, for another process. */
  readonly inheritable: readonly InheritedListener[];
  /** Another process has them too: the files of unix sockets are that one's. */
  handedOver(): void;
}

/**
 * Takes over what was inherited for an address, and binds every other one once for each worker; the system spreads the
 * clients over them (SO_REUSEPORT). A unix socket cannot be shared so: it is the first worker's alone. Throws
 * `address_in_use` or `address_unavailable`, with nothing left open but what was inherited.
 */
export async function bindForWorkers(
  workers: number,
  uses: Readonly<Partial<Record<ListeningUse, readonly Address[]>>>,
  inherited: readonly InheritedListener[] = [],
): Promise<WorkerListeners> {
  const byWorker: WorkerListener[][] = Array.from({ length: workers }, () => []);
  const own: WorkerListener[] = [];
  const bound = new Map<string, EndpointAddress[]>();
  let isOurs = true;

  async function socketsFor(use: ListeningUse, asked: Address): Promise<BoundSocket[]> {
    const given = inherited.filter((one) => one.use === use && formatAddress(one.address) === formatAddress(asked));
    if (given.length === 0) return bindTimes(asked.kind === "unix" ? 1 : workers, asked);
    const closed = () => {
      if (asked.kind === "unix") removeSocketFile(asked.path);
    };
    const sockets = given.map((one): BoundSocket => ({ descriptor: one.descriptor, address: one.bound, closed }));
    // Fewer than workers: several accept from one queue. More: a worker accepts from several.
    for (let at = 0; asked.kind === "tcp" && sockets.length < workers; at++) {
      sockets.push({ ...sockets[at]!, descriptor: duplicate(sockets[at]!.descriptor) });
    }
    return sockets;
  }

  try {
    for (const [use, addresses] of Object.entries(uses) as [ListeningUse, readonly Address[]][]) {
      const places: EndpointAddress[] = [];
      bound.set(use, places);
      for (const asked of addresses) {
        const sockets = await socketsFor(use, asked);
        sockets.forEach((socket, at) => {
          const { descriptor } = socket;
          // Under the address that it is bound to: several may have been asked for as port 0 of one host.
          const address = concrete(asked, socket.address);
          const closed = () => {
            if (isOurs) socket.closed();
          };
          const listener = { use, asked, address, descriptor, bound: socket.address, closed };
          byWorker[at % workers]!.push(listener);
          if (!inherited.some((one) => one.descriptor === descriptor)) own.push(listener);
        });
        places.push(sockets[0]!.address);
      }
    }
  } catch (error) {
    closeListeners(own);
    throw error;
  }
  return {
    byWorker,
    bound: (use) => bound.get(use) ?? [],
    inheritable: byWorker.flat().map(({ use, asked, descriptor, bound: at }) => ({
      use,
      address: asked,
      descriptor,
      bound: at,
    })),
    handedOver() {
      isOurs = false;
    },
  };
}

function duplicate(descriptor: number): number {
  const copy = loadLibc().control(descriptor, fDuplicate, 0);
  if (copy < 0) throw new ProxyError("descriptors_exhausted", errorText("fcntl", copy));
  return copy;
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
