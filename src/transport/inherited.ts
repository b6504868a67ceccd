import { type Address, formatAddress } from "../base/address.js";
import type { EndpointAddress } from "./endpoint.js";

/** The settings that listen, without `.listen`. */
export const listeningUses = ["tls", "rendezvous", "mesh", "admin"] as const;
export type ListeningUse = (typeof listeningUses)[number];

/** A listening socket of this process. */
export interface GivenListener {
  /** What `listen` will ask for. */
  readonly address: Address;
  readonly descriptor: number;
  readonly bound: EndpointAddress;
}

/**
 * A listening socket that another process has opened: the service manager, or the proxy that this one takes over from. It
 * may share its queue with that one. `address` is what the settings state.
 */
export interface InheritedListener extends GivenListener {
  readonly use: ListeningUse;
}

/** Listening sockets that wait to be listened on. Each is given once. */
export interface GivenListeners {
  take(address: Address): GivenListener | undefined;
}

export function givenListeners(given: readonly GivenListener[] = []): GivenListeners {
  const waiting = [...given];
  return {
    take(address) {
      const text = formatAddress(address);
      const at = waiting.findIndex((one) => formatAddress(one.address) === text);
      return at === -1 ? undefined : waiting.splice(at, 1)[0];
    },
  };
}
