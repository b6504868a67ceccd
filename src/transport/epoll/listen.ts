import { descriptorGuard } from "../descriptors.js";
import type { Endpoint, EndpointAddress } from "../endpoint.js";
import type { Listener, ListenOptions } from "../transport.js";
import {
  eAgain,
  eConnAborted,
  eIntr,
  ePerm,
  eProto,
  epollExclusive,
  epollIn,
  networkErrors,
  sockCloexec,
  sockNonblock,
} from "./abi.js";
import type { BoundSocket } from "./bind.js";
import { EpollEndpoint } from "./endpoint.js";
import { errorName, errorText } from "./error-text.js";
import type { EventLoop, Watched } from "./loop.js";
import { decodeSocketAddress, socketAddressBytes } from "./socket-address.js";
import { Stream } from "./stream.js";

/** Clients accepted in one round, so that a flood of new ones leaves the others their turn. */
const maxAcceptsPerRound = 64;

const noRoomToWatch = "the system has no room to watch another descriptor: raise fs.epoll.max_user_watches";

/** Errors of `accept` which say that one client has left again before it was accepted (accept(2)): on to the next. */
const leftAgain: ReadonlySet<number> = new Set([eConnAborted, eIntr, eProto, ePerm, ...networkErrors]);

/** Accepts from a bound socket, which is this thread's from here on. See `Transport.listen`. */
export function acceptFrom(loop: EventLoop, bound: BoundSocket, options: ListenOptions): Listener {
  const acceptor = new Acceptor(loop, bound, options);
  return { address: bound.address, close: async () => acceptor.close() };
}

/**
 * Level-triggered: what is not accepted in this round is told again in the next. Without descriptors it stops watching, so
 * that nothing spins and clients wait in the system's queue; `descriptorGuard` looks when there are some again.
 */
class Acceptor implements Watched {
  readonly #loop: EventLoop;
  readonly #bound: BoundSocket;
  readonly #accept: (endpoint: Endpoint) => void;
  readonly #guard: ReturnType<typeof descriptorGuard>;
  /** Where the clients connected to: the same for all, unless the listener has several addresses. */
  readonly #local: EndpointAddress | undefined;
  readonly #address = new Uint8Array(socketAddressBytes);
  readonly #length = new Uint32Array(1);
  #paused = false;
  #closed = false;

  constructor(loop: EventLoop, bound: BoundSocket, { accept, owes, starved = () => {} }: ListenOptions) {
    this.#loop = loop;
    this.#bound = bound;
    this.#accept = accept;
    this.#local = hasOneAddress(bound.address) ? bound.address : undefined;
    this.#guard = descriptorGuard({ starved, owes, gate: (open) => this.#pause(!open) });
    loop.watch(bound.descriptor, this, epollIn | epollExclusive);
  }

  onEvents(): void {
    for (let accepted = 0; accepted < maxAcceptsPerRound && !this.#paused && !this.#closed; accepted++) {
      this.#length[0] = socketAddressBytes;
      const descriptor = this.#loop.libc.accept(
        this.#bound.descriptor,
        this.#address,
        this.#length as unknown as Uint8Array,
        sockNonblock | sockCloexec,
      );
      if (descriptor === eAgain) return;
      if (descriptor >= 0) this.#admit(descriptor);
      else if (!leftAgain.has(descriptor)) this.#guard.failed(errorText("accept", descriptor), errorName(descriptor));
    }
  }

  /** One client's fault is not the others'. */
  failed(): void {}

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#guard.close();
    // A loop that was stopped has closed it already.
    if (this.#loop.owns(this.#bound.descriptor)) {
      // Where another process has it too, closing it here does not end the watch (epoll(7)).
      if (!this.#paused) this.#loop.unwatch(this.#bound.descriptor);
      this.#loop.close(this.#bound.descriptor);
    }
    this.#bound.closed();
  }

  #admit(descriptor: number): void {
    if (!this.#loop.own(descriptor)) return this.#guard.failed(`descriptor ${descriptor} is beyond the table`);
    this.#guard.takesLast(descriptor);
    let stream: Stream;
    try {
      stream = new Stream(this.#loop, descriptor, this.#bound.address.family === "unix" ? "unix" : "tcp");
    } catch {
      return this.#guard.failed(noRoomToWatch);
    }
    this.#accept(new EpollEndpoint(stream, decodeSocketAddress(this.#address), this.#local));
  }

  /** False where it cannot go on, and stays paused. */
  #pause(paused: boolean): boolean {
    if (this.#closed || this.#paused === paused || !this.#loop.owns(this.#bound.descriptor)) return true;
    // Out of the set and in again: an exclusive watch cannot be modified (epoll_ctl(2)).
    if (paused) this.#loop.unwatch(this.#bound.descriptor);
    else {
      try {
        this.#loop.watch(this.#bound.descriptor, this, epollIn | epollExclusive);
      } catch {
        return false;
      }
    }
    this.#paused = paused;
    return true;
  }
}

function hasOneAddress(address: EndpointAddress): boolean {
  return address.family === "unix" || (address.address !== "0.0.0.0" && address.address !== "::");
}
