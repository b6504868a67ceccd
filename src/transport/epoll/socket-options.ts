import type { EndpointAddress } from "../endpoint.js";
import { ipprotoTcp, soKeepalive, solSocket, tcpKeepCount, tcpKeepIdle, tcpKeepInterval, tcpNodelay } from "./abi.js";
import type { Libc } from "./libc.js";
import { decodeSocketAddress, socketAddressBytes } from "./socket-address.js";

/** First probe of a silent connection. Shorter than the idle limits of common NATs and load balancers (120-350 s). */
const keepaliveIdleSeconds = 60;
/** Then one every 10 s, and three without an answer are enough: the system's own 11 minutes are too long for a pool. */
const keepaliveIntervalSeconds = 10;
const keepaliveProbes = 3;

const yes = Int32Array.of(1) as unknown as Uint8Array;
const keepaliveIdle = Int32Array.of(keepaliveIdleSeconds) as unknown as Uint8Array;
const keepaliveInterval = Int32Array.of(keepaliveIntervalSeconds) as unknown as Uint8Array;
const keepaliveCount = Int32Array.of(keepaliveProbes) as unknown as Uint8Array;

/** Small messages leave at once. What a listening socket is set to, those accepted from it are too. */
export function setNoDelay(libc: Libc, descriptor: number): void {
  libc.setOption(descriptor, ipprotoTcp, tcpNodelay, yes, 4);
}

/** A silent connection is probed, so that a peer that is gone is noticed in 90 s, and no NAT on the way forgets it. */
export function setKeepalive(libc: Libc, descriptor: number): void {
  libc.setOption(descriptor, solSocket, soKeepalive, yes, 4);
  libc.setOption(descriptor, ipprotoTcp, tcpKeepIdle, keepaliveIdle, 4);
  libc.setOption(descriptor, ipprotoTcp, tcpKeepInterval, keepaliveInterval, 4);
  libc.setOption(descriptor, ipprotoTcp, tcpKeepCount, keepaliveCount, 4);
}

const nameBytes = new Uint8Array(socketAddressBytes);
const nameLength = new Uint32Array(1);

/** Where a descriptor's own end is. */
export function localAddress(libc: Libc, descriptor: number): EndpointAddress {
  nameLength[0] = nameBytes.length;
  libc.socketName(descriptor, nameBytes, nameLength as unknown as Uint8Array);
  return decodeSocketAddress(nameBytes);
}
