import { lookup } from "node:dns/promises";
import { unlinkSync } from "node:fs";
import { type Address, formatAddress } from "../../base/address.js";
import { messageOf, ProxyError } from "../../base/errors.js";
import type { EndpointAddress } from "../endpoint.js";
import { isStaleSocket } from "../stale-socket.js";
import type { ResolvedAddress } from "../transport.js";
import {
  afInet6,
  afUnix,
  eAddrInUse,
  eInval,
  ipprotoIpv6,
  ipv6V6only,
  sockCloexec,
  sockNonblock,
  sockStream,
  solSocket,
  soReuseAddr,
  soReusePort,
} from "./abi.js";
import { errorName, errorText } from "./error-text.js";
import type { Libc } from "./libc.js";
import { encodeSocketAddress } from "./socket-address.js";
import { localAddress, setKeepalive, setNoDelay } from "./socket-options.js";

/** Clients that wait in the kernel while the loop is busy. The system bounds it by net.core.somaxconn. */
const backlog = 4096;

/** A listening socket. Nobody accepts from it yet. */
export interface BoundSocket {
  readonly descriptor: number;
  /** Where it listens: the real port where 0 was asked for. */
  readonly address: EndpointAddress;
  /** To be called when it has been closed. */
  closed(): void;
}

const on = Int32Array.of(1) as unknown as Uint8Array;
const off = Int32Array.of(0) as unknown as Uint8Array;

export interface BindOptions {
  /** Several sockets are to listen on the address, and the system spreads the clients over them (SO_REUSEPORT). */
  readonly reusePort: boolean;
}

/**
 * Listens; resolves with a descriptor that is the caller's, and in no table yet. A host name is looked up; an empty host
 * means all addresses, IPv4 ones too. Throws `address_in_use` or `address_unavailable`.
 */
export async function bindListening(libc: Libc, address: Address, options: BindOptions): Promise<BoundSocket> {
  const candidates = await resolve(address);
  let problem: { error: number; call: string } | undefined;
  for (const candidate of candidates) {
    let bound = tryBind(libc, candidate, options);
    if (candidate.kind === "unix" && "error" in bound && bound.error === eAddrInUse) {
      if (await isStaleSocket(candidate.path)) {
        unlinkSync(candidate.path);
        bound = tryBind(libc, candidate, options);
      }
    }
    if (!("error" in bound)) return bound;
    problem = bound;
  }
  const why = problem === undefined ? "the name has no address" : errorText(problem.call, problem.error);
  const code = problem?.error === eAddrInUse ? "address_in_use" : "address_unavailable";
  // With the name of the error, as Node's own errors have it: whoever starts a proxy is told in words of ours.
  const cause = Object.assign(new Error(why), { code: problem && errorName(problem.error) });
  throw new ProxyError(code, `${formatAddress(address)}: ${why}`, { cause });
}

async function resolve(address: Address): Promise<readonly ResolvedAddress[]> {
  if (address.kind === "unix") return [address];
  const { host, port } = address;
  const everywhere = [
    { kind: "tcp", ip: "::", port },
    { kind: "tcp", ip: "0.0.0.0", port },
  ] as const;
  if (host === "") return everywhere;
  try {
    // The first one, as Node does; IP addresses are their own.
    const { address: ip } = await lookup(host);
    return [{ kind: "tcp", ip, port }];
  } catch (error) {
    throw new ProxyError("address_unavailable", `${formatAddress(address)}: ${messageOf(error)}`, { cause: error });
  }
}

function tryBind(
  libc: Libc,
  address: ResolvedAddress,
  { reusePort }: BindOptions,
): BoundSocket | { error: number; call: string } {
  const encoded = encodeSocketAddress(address, libc.interfaceIndex);
  if (encoded === undefined) return { error: eInval, call: "bind" };
  const { family, bytes, length } = encoded;
  const descriptor = libc.socket(family, sockStream | sockNonblock | sockCloexec, 0);
  if (descriptor < 0) return { error: descriptor, call: "socket" };
  const failed = (call: string, error: number) => {
    libc.close(descriptor);
    return { error, call };
  };
  if (family !== afUnix) {
    libc.setOption(descriptor, solSocket, soReuseAddr, on, 4);
    if (reusePort) libc.setOption(descriptor, solSocket, soReusePort, on, 4);
    if (family === afInet6) libc.setOption(descriptor, ipprotoIpv6, ipv6V6only, off, 4);
    setNoDelay(libc, descriptor);
    setKeepalive(libc, descriptor);
  }
  const bound = libc.bind(descriptor, bytes, length);
  if (bound < 0) return failed("bind", bound);
  const listening = libc.listen(descriptor, backlog);
  if (listening < 0) return failed("listen", listening);
  return {
    descriptor,
    address: family === afUnix ? { family: "unix" } : localAddress(libc, descriptor),
    closed() {
      if (address.kind === "unix") removeSocketFile(address.path);
    },
  };
}

export function removeSocketFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody else has removed it.
  }
}
