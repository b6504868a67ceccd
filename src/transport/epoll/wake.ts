import { ProxyError } from "../../base/errors.js";
import { epollIn, sockCloexec, sockNonblock } from "./abi.js";
import { errorText } from "./error-text.js";
import { loadLibc } from "./libc.js";
import type { EventLoop } from "./loop.js";

const one = new Uint8Array(BigUint64Array.of(1n).buffer);
const counter = new Uint8Array(8);

/** An eventfd (eventfd(2)), by which one thread wakes another from its wait. The caller's, and in no table. */
export function createEventDescriptor(): number {
  const descriptor = loadLibc().eventDescriptor(0, sockNonblock | sockCloexec);
  if (descriptor < 0) throw new ProxyError("descriptors_exhausted", errorText("eventfd", descriptor));
  return descriptor;
}

/** Wakes whoever watches it. Never waits: a counter that is full wakes all the same. */
export function wake(eventDescriptor: number): void {
  loadLibc().write(eventDescriptor, one, one.length);
}

export function watchWakes(loop: EventLoop, eventDescriptor: number, woken: () => void): void {
  const watched = {
    onEvents() {
      // Before `woken` looks, so that what comes after it looked wakes again.
      loop.libc.read(eventDescriptor, counter, counter.length);
      woken();
    },
    failed() {},
  };
  loop.watch(eventDescriptor, watched, epollIn);
}
