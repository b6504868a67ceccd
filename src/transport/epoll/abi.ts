/**
 * Numbers of the Linux system interface, from the kernel's uapi headers. Those here are the same on x86-64 and arm64,
 * and with glibc and musl: they are the kernel's, not the C library's. What differs stands in `epollEventLayout`.
 */
export const epollIn = 0x1;
/** Urgent data has come (RFC 9293 §3.8.5). */
export const epollPri = 0x2;
export const epollOut = 0x4;
export const epollErr = 0x8;
export const epollHup = 0x10;
/** The peer has ended its direction. */
export const epollRdhup = 0x2000;
/** Of several loops that watch one descriptor, wake not all. */
export const epollExclusive = 1 << 28;
export const epollEdge = 1 << 31;

export const epollAdd = 1;
export const epollDelete = 2;

export const afUnix = 1;
export const afInet = 2;
export const afInet6 = 10;
export const sockStream = 1;
/** As O_NONBLOCK and O_CLOEXEC: of pipes, eventfds and epoll descriptors too. */
export const sockNonblock = 0o4000;
export const sockCloexec = 0o2000000;

export const solSocket = 1;
export const soReuseAddr = 2;
export const soError = 4;
export const soKeepalive = 9;
/** Whether a socket listens. */
export const soAcceptConn = 30;
export const soLinger = 13;
export const soReusePort = 15;
export const ipprotoTcp = 6;
export const tcpNodelay = 1;
export const tcpKeepIdle = 4;
export const tcpKeepInterval = 5;
export const tcpKeepCount = 6;
export const ipprotoIpv6 = 41;
export const ipv6V6only = 26;

export const shutWrite = 1;
export const msgNosignal = 0x4000;
export const msgDontWait = 0x40;
/** Received descriptors are closed by exec. */
export const msgCloexec = 0x40000000;
/** Not all descriptors had room: those that had none are lost. */
export const msgControlTruncated = 0x8;
export const scmRights = 1;
export const spliceMove = 0x1;
export const spliceNonblock = 0x2;
export const fSetPipeSize = 1031;
export const fSetDescriptorFlags = 2;
export const closeOnExec = 1;
export const fGetFlags = 3;
export const fSetFlags = 4;
/** The lowest free number above the argument, closed by exec. */
export const fDuplicate = 1030;

/** Error numbers, as the wrappers of libc.ts return them: negated. */
export const ePerm = -1;
export const eNoent = -2;
export const eIntr = -4;
export const eAgain = -11;
export const eInval = -22;
export const eNfile = -23;
export const eMfile = -24;
export const ePipe = -32;
export const eProto = -71;
export const eAddrInUse = -98;
export const eConnAborted = -103;
export const eConnReset = -104;
export const eConnRefused = -111;
export const eInProgress = -115;

/**
 * ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH: what has gone wrong on a new connection
 * already, `accept` returns as its own error (accept(2), "Error handling").
 */
export const networkErrors: readonly number[] = [-100, -92, -112, -64, -113, -95, -101];

/** Where the fields of `struct epoll_event` are: events at 0, the eight bytes of data at `data`. */
export interface EpollEventLayout {
  readonly bytes: number;
  readonly data: number;
}

/** The struct is packed on x86-64, and naturally aligned everywhere else (uapi/linux/eventpoll.h). */
export function epollEventLayout(arch: string): EpollEventLayout {
  return arch === "x64" ? { bytes: 12, data: 4 } : { bytes: 16, data: 8 };
}

/**
 * Where the fields of `struct msghdr`, `struct iovec` and `struct cmsghdr` are (recvmsg(2), cmsg(3)). The same on both
 * processors. With glibc lengths take eight bytes, with musl four and four of padding: what is written as eight, with zeros
 * above, is right for both.
 */
export const messageLayout = {
  header: { bytes: 56, vectors: 16, vectorCount: 24, control: 32, controlBytes: 40, flags: 48 },
  vector: { bytes: 16, base: 0, length: 8 },
  control: { length: 0, level: 8, type: 12, data: 16, alignment: 8 },
} as const;

/** Processors for which layouts and numbers of this file hold. Both are little-endian. */
export const supportedArchs: readonly string[] = ["x64", "arm64"];
