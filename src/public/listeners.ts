import type { Address } from "../base/address.js";
import type { Endpoint, EndpointAddress } from "../transport/endpoint.js";
import type { Listener, Transport } from "../transport/transport.js";

/** Where one use of a data plane listens, and what becomes of who connects. */
export interface ListenerUse {
  readonly listen: readonly Address[];
  readonly accept: (endpoint: Endpoint) => void;
  /** See `ListenOptions.owes`. */
  readonly owes?: () => number;
}

export interface ListenersOptions {
  readonly transport: Transport;
  readonly clients: ListenerUse;
  readonly rendezvous: ListenerUse;
  /** A listener, named by its setting, has run out of descriptors, or goes on. */
  readonly starved: (listener: string, state: "paused" | "resumed", detail: string) => void;
}

export interface Listeners {
  readonly clientAddresses: readonly EndpointAddress[];
  readonly rendezvousAddresses: readonly EndpointAddress[];
  closeClients(): Promise<void>;
  close(): Promise<void>;
}

/** Resolves when all of them listen; throws `address_in_use` or `address_unavailable`, with nothing left open. */
export async function startListeners({
  transport,
  clients,
  rendezvous,
  starved,
}: ListenersOptions): Promise<Listeners> {
  const clientListeners: Listener[] = [];
  const rendezvousListeners: Listener[] = [];

  async function start({ listen, ...use }: ListenerUse, name: string, into: Listener[]): Promise<void> {
    for (const address of listen) {
      into.push(await transport.listen({ ...use, address, starved: (state, detail) => starved(name, state, detail) }));
    }
  }

  const closeClients = () => closeEach(clientListeners);
  const close = () => closeEach([...clientListeners, ...rendezvousListeners]);
  try {
    // Before clients come, what they need must be there.
    await start(rendezvous, "rendezvous.listen", rendezvousListeners);
    await start(clients, "tls.listen", clientListeners);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    clientAddresses: clientListeners.map((listener) => listener.address),
    rendezvousAddresses: rendezvousListeners.map((listener) => listener.address),
    closeClients,
    close,
  };
}

async function closeEach(listeners: readonly Listener[]): Promise<void> {
  await Promise.all(listeners.map((listener) => listener.close()));
}
