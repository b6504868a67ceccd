import { createRequire } from "node:module";
import { eIntr, supportedArchs } from "./abi.js";

/**
 * The system calls of the engine. Each returns what the system returns, or the negated error number: errno is read here,
 * in the statement after the call, and nowhere else. All descriptors are non-blocking, so no call waits, but for
 * `epollWait`, which waits at most as long as it is told.
 */
export interface Libc {
  epollCreate(flags: number): number;
  epollControl(epoll: number, operation: number, descriptor: number, event: Uint8Array): number;
  epollWait(epoll: number, events: Uint8Array, max: number, timeoutMs: number): number;
  eventDescriptor(initial: number, flags: number): number;
  socket(family: number, type: number, protocol: number): number;
  socketPair(family: number, type: number, protocol: number, pair: Uint8Array): number;
  bind(descriptor: number, address: Uint8Array, length: number): number;
  listen(descriptor: number, backlog: number): number;
  accept(descriptor: number, address: Uint8Array, length: Uint8Array, flags: number): number;
  connect(descriptor: number, address: Uint8Array, length: number): number;
  socketName(descriptor: number, address: Uint8Array, length: Uint8Array): number;
  setOption(descriptor: number, level: number, option: number, value: Uint8Array, length: number): number;
  getOption(descriptor: number, level: number, option: number, value: Uint8Array, length: Uint8Array): number;
  receive(descriptor: number, into: Uint8Array, length: number, flags: number): number;
  send(descriptor: number, bytes: Uint8Array, length: number, flags: number): number;
  shutdown(descriptor: number, how: number): number;
  close(descriptor: number): number;
  pipe(descriptors: Uint8Array, flags: number): number;
  /** With an integer argument. */
  control(descriptor: number, command: number, argument: number): number;
  splice(from: number, to: number, length: number, flags: number): number;
  read(descriptor: number, into: Uint8Array, length: number): number;
  write(descriptor: number, bytes: Uint8Array, length: number): number;
  /** A struct msghdr, which names other memory: its callers keep that alive. */
  sendMessage(descriptor: number, header: Uint8Array, flags: number): number;
  receiveMessage(descriptor: number, header: Uint8Array, flags: number): number;
  /** Where the bytes are in memory. They must have an ArrayBuffer of their own: small ones would move otherwise. */
  addressOf(bytes: Uint8Array): bigint;
  /** The number of a network interface, or 0. For the zone of an IPv6 address. */
  interfaceIndex(name: string): number;
}

/** What of koffi is used. Its own types would make the optional package one that must be there to compile. */
interface Koffi {
  load(path: string | null): { func(declaration: string): (...args: never[]) => number };
  errno(): number;
  address(value: unknown): bigint;
}

let loaded: Libc | undefined;

/** Throws, with a sentence that says why, where koffi or this system cannot do it. Loads once. */
export function loadLibc(): Libc {
  loaded ??= bindLibc(loadKoffi());
  return loaded;
}

function loadKoffi(): Koffi {
  if (process.platform !== "linux") throw new Error(`epoll is Linux's, this is ${process.platform}`);
  if (!supportedArchs.includes(process.arch)) {
    throw new Error(`the processor is ${process.arch}, the engine knows ${supportedArchs.join(" and ")}`);
  }
  const require = createRequire(import.meta.url);
  try {
    return require("koffi") as Koffi;
  } catch (error) {
    const why =
      (error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND" ? "is not installed" : "does not load here";
    throw new Error(`the package koffi ${why}`, { cause: error });
  }
}

function bindLibc(koffi: Koffi): Libc {
  // The process itself: its C library is loaded already, whatever it is called (glibc and musl differ).
  const library = koffi.load(null);
  const { errno } = koffi;
  const bound = <Args extends unknown[]>(declaration: string) => {
    const call = library.func(declaration) as unknown as (...args: Args) => number;
    return call;
  };
  const epollCreate = bound<[number]>("int epoll_create1(int)");
  const epollControl = bound<[number, number, number, Uint8Array]>("int epoll_ctl(int, int, int, void *)");
  const epollWait = bound<[number, Uint8Array, number, number]>("int epoll_wait(int, void *, int, int)");
  const eventDescriptor = bound<[number, number]>("int eventfd(unsigned int, int)");
  const socket = bound<[number, number, number]>("int socket(int, int, int)");
  const socketPair = bound<[number, number, number, Uint8Array]>("int socketpair(int, int, int, void *)");
  const bind = bound<[number, Uint8Array, number]>("int bind(int, void *, unsigned int)");
  const listen = bound<[number, number]>("int listen(int, int)");
  const accept = bound<[number, Uint8Array, Uint8Array, number]>("int accept4(int, void *, void *, int)");
  const connect = bound<[number, Uint8Array, number]>("int connect(int, void *, unsigned int)");
  const socketName = bound<[number, Uint8Array, Uint8Array]>("int getsockname(int, void *, void *)");
  const setOption = bound<[number, number, number, Uint8Array, number]>(
    "int setsockopt(int, int, int, void *, unsigned int)",
  );
  const getOption = bound<[number, number, number, Uint8Array, Uint8Array]>(
    "int getsockopt(int, int, int, void *, void *)",
  );
  // ssize_t is unknown to koffi, and `long` is as wide on both processors.
  const receive = bound<[number, Uint8Array, number, number]>("long recv(int, void *, size_t, int)");
  const send = bound<[number, Uint8Array, number, number]>("long send(int, void *, size_t, int)");
  const shutdown = bound<[number, number]>("int shutdown(int, int)");
  const close = bound<[number]>("int close(int)");
  const pipe = bound<[Uint8Array, number]>("int pipe2(void *, int)");
  const control = bound<[number, number, number]>("int fcntl(int, int, int)");
  const splice = bound<[number, null, number, null, number, number]>(
    "long splice(int, void *, int, void *, size_t, unsigned int)",
  );
  const read = bound<[number, Uint8Array, number]>("long read(int, void *, size_t)");
  const write = bound<[number, Uint8Array, number]>("long write(int, void *, size_t)");
  const sendMessage = bound<[number, Uint8Array, number]>("long sendmsg(int, void *, int)");
  const receiveMessage = bound<[number, Uint8Array, number]>("long recvmsg(int, void *, int)");
  const interfaceIndex = bound<[string]>("unsigned int if_nametoindex(const char *)");

  const orError = (result: number): number => (result < 0 ? -errno() : result);
  /** Calls that do not wait are not interrupted, as a rule; a rule with exceptions. */
  const again = (result: number): boolean => result === eIntr;
  return {
    epollCreate: (flags) => orError(epollCreate(flags)),
    epollControl: (epoll, operation, descriptor, event) => orError(epollControl(epoll, operation, descriptor, event)),
    epollWait: (epoll, events, max, timeoutMs) => orError(epollWait(epoll, events, max, timeoutMs)),
    eventDescriptor: (initial, flags) => orError(eventDescriptor(initial, flags)),
    socket: (family, type, protocol) => orError(socket(family, type, protocol)),
    socketPair: (family, type, protocol, pair) => orError(socketPair(family, type, protocol, pair)),
    bind: (descriptor, address, length) => orError(bind(descriptor, address, length)),
    listen: (descriptor, backlog) => orError(listen(descriptor, backlog)),
    accept: (descriptor, address, length, flags) => orError(accept(descriptor, address, length, flags)),
    connect: (descriptor, address, length) => orError(connect(descriptor, address, length)),
    socketName: (descriptor, address, length) => orError(socketName(descriptor, address, length)),
    setOption: (descriptor, level, option, value, length) =>
      orError(setOption(descriptor, level, option, value, length)),
    getOption: (descriptor, level, option, value, length) =>
      orError(getOption(descriptor, level, option, value, length)),
    receive(descriptor, into, length, flags) {
      for (;;) {
        const result = orError(receive(descriptor, into, length, flags));
        if (!again(result)) return result;
      }
    },
    send(descriptor, bytes, length, flags) {
      for (;;) {
        const result = orError(send(descriptor, bytes, length, flags));
        if (!again(result)) return result;
      }
    },
    shutdown: (descriptor, how) => orError(shutdown(descriptor, how)),
    close: (descriptor) => orError(close(descriptor)),
    pipe: (descriptors, flags) => orError(pipe(descriptors, flags)),
    control: (descriptor, command, argument) => orError(control(descriptor, command, argument)),
    splice(from, to, length, flags) {
      for (;;) {
        const result = orError(splice(from, null, to, null, length, flags));
        if (!again(result)) return result;
      }
    },
    read: (descriptor, into, length) => orError(read(descriptor, into, length)),
    write: (descriptor, bytes, length) => orError(write(descriptor, bytes, length)),
    sendMessage: (descriptor, header, flags) => orError(sendMessage(descriptor, header, flags)),
    receiveMessage: (descriptor, header, flags) => orError(receiveMessage(descriptor, header, flags)),
    addressOf: (bytes) => koffi.address(bytes),
    interfaceIndex: (name) => interfaceIndex(name),
  };
}
