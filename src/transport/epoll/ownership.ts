import { ProxyError } from "../../base/errors.js";
import { descriptorLimit } from "../descriptors.js";
import { soLinger, solSocket } from "./abi.js";
import { loadLibc } from "./libc.js";

/**
 * Who owns which descriptor. All threads of a process share its descriptors, so a number that is closed twice, or used after
 * it was closed, is somebody else's connection: this table, in shared memory, is what keeps one client's bytes from
 * another. One cell for each descriptor holds its owner, or nobody.
 */
export type Owner = number;
export const nobody: Owner = 0;
export const mainThread: Owner = 1;
/** Of the worker with this number, counted from 0. */
export const ownerOfWorker = (worker: number): Owner => 2 + worker;

/** Where the limit is not known or absurd: more descriptors than this are turned away. 16 MiB of memory, used as touched. */
const maxDescriptors = 1 << 22;

/** Shared memory for the table: room for every descriptor that this process may have. */
export function createDescriptorTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(Math.min(descriptorLimit(), maxDescriptors) * Int32Array.BYTES_PER_ELEMENT);
}

/** One thread's view of the table. */
export interface Ownership {
  /** A descriptor that the system has just made. False where the table has no room for it: it must be closed at once. */
  take(descriptor: number): boolean;
  /** To be called before the descriptor is closed. Throws `internal` where it is not this thread's: then it must not be closed. */
  drop(descriptor: number): void;
  /** From now on it is another's. Throws `internal` where it is not this thread's. */
  give(descriptor: number, to: Owner): void;
  owns(descriptor: number): boolean;
  /** Every descriptor of this thread. */
  all(): number[];
}

export function createOwnership(table: SharedArrayBuffer, me: Owner): Ownership {
  const owners = new Int32Array(table);

  function change(descriptor: number, from: Owner, to: Owner): void {
    const before = Atomics.compareExchange(owners, descriptor, from, to);
    if (before === from) return;
    throw new ProxyError(
      "internal",
      `descriptor ${descriptor} belongs to ${before}, not to ${from}: it is not touched`,
    );
  }

  return {
    take(descriptor) {
      if (descriptor >= owners.length) return false;
      change(descriptor, nobody, me);
      return true;
    },
    drop: (descriptor) => change(descriptor, me, nobody),
    give: (descriptor, to) => change(descriptor, me, to),
    owns: (descriptor) => descriptor < owners.length && Atomics.load(owners, descriptor) === me,
    all: () => ownedBy(table, me),
  };
}

/** Every descriptor of an owner, for whoever cleans up after it. */
export function ownedBy(table: SharedArrayBuffer, owner: Owner): number[] {
  const owners = new Int32Array(table);
  const owned: number[] = [];
  for (let descriptor = 0; descriptor < owners.length; descriptor++) {
    if (Atomics.load(owners, descriptor) === owner) owned.push(descriptor);
  }
  return owned;
}

/** struct linger: on, 0 seconds. */
const resetOnClose = new Int32Array([1, 0]) as unknown as Uint8Array;

/**
 * Closes what an owner left when its thread ended, but for `except`, and returns which. To be called from another thread,
 * when that one runs no more. Connections are reset: a FIN would tell their peers that all has been said.
 */
export function closeOwnedBy(table: SharedArrayBuffer, owner: Owner, except: ReadonlySet<number>): number[] {
  const closed = ownedBy(table, owner).filter((descriptor) => !except.has(descriptor));
  for (const descriptor of closed) closeIfOwned(table, descriptor, owner);
  return closed;
}

/** The same for one descriptor, where it is still that owner's. */
export function closeIfOwned(table: SharedArrayBuffer, descriptor: number, owner: Owner): void {
  if (Atomics.compareExchange(new Int32Array(table), descriptor, owner, nobody) !== owner) return;
  // What is no socket does not care.
  loadLibc().setOption(descriptor, solSocket, soLinger, resetOnClose, 8);
  loadLibc().close(descriptor);
}

/** Gives a descriptor that is in no table yet to an owner: a listening socket to its worker. False where it has no room. */
export function assign(table: SharedArrayBuffer, descriptor: number, owner: Owner): boolean {
  return createOwnership(table, owner).take(descriptor);
}
