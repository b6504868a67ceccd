import { type ChannelOptions, experimental } from "@grpc/grpc-js";

/**
 * grpc-js dials by itself and offers no way to give up a TCP connect, which on an address that does not answer goes on
 * for two minutes and keeps the process alive. But it hands the address that its resolver found to `net.connect` as it
 * is, and that takes a signal.
 */

const scheme = "dialled";
/** Never seen: whoever dials gives `grpc.default_authority`. */
const authority = "address";
const addressOption = "rendezvous.dialled_address";

export interface DialledAddress {
  /** The address to dial, looked up already. */
  readonly ip: string;
  readonly port: number;
  /**
   * Ends the connect, and the connection. Only of those that have begun: given a signal that was settled before,
   * `net.connect` fails and connects nevertheless, and nobody has that socket.
   */
  readonly signal: AbortSignal;
}

/** What makes a channel dial this address and no other. */
export function dialledChannel(address: DialledAddress): { readonly target: string; readonly options: ChannelOptions } {
  return { target: `${scheme}:${authority}`, options: { [addressOption]: address } };
}

class DialledResolver implements experimental.Resolver {
  readonly #listener: experimental.ResolverListener;
  readonly #options: ChannelOptions;
  /** Once is enough: whoever asks again after a failure would get the same answer, and fail, and ask again. */
  #answered = false;

  constructor(_target: experimental.GrpcUri, listener: experimental.ResolverListener, options: ChannelOptions) {
    this.#listener = listener;
    this.#options = options;
  }

  updateResolution(): void {
    if (this.#answered) return;
    this.#answered = true;
    const { ip, port, signal } = this.#options[addressOption] as DialledAddress;
    const address = { host: ip, port, signal };
    process.nextTick(() => {
      if (this.#answered) this.#listener(experimental.statusOrFromValue([{ addresses: [address] }]), {}, null, "");
    });
  }

  destroy(): void {
    this.#answered = false;
  }

  static getDefaultAuthority(): string {
    return authority;
  }
}

experimental.registerResolver(scheme, DialledResolver);
