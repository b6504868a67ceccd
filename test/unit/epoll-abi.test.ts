import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import * as abi from "../../src/transport/epoll/abi.js";
import { socketAddressBytes } from "../../src/transport/epoll/socket-address.js";
import { has, passOver } from "../harness/needs.js";

/** What this file calls a number, and what the system's headers call it. */
const inHeaders: Readonly<Record<string, readonly [ours: number, theirs: string]>> = {
  epollIn: [abi.epollIn, "EPOLLIN"],
  epollPri: [abi.epollPri, "EPOLLPRI"],
  epollOut: [abi.epollOut, "EPOLLOUT"],
  epollErr: [abi.epollErr, "EPOLLERR"],
  epollHup: [abi.epollHup, "EPOLLHUP"],
  epollRdhup: [abi.epollRdhup, "EPOLLRDHUP"],
  epollExclusive: [abi.epollExclusive, "EPOLLEXCLUSIVE"],
  epollEdge: [abi.epollEdge, "EPOLLET"],
  epollAdd: [abi.epollAdd, "EPOLL_CTL_ADD"],
  epollDelete: [abi.epollDelete, "EPOLL_CTL_DEL"],
  afUnix: [abi.afUnix, "AF_UNIX"],
  afInet: [abi.afInet, "AF_INET"],
  afInet6: [abi.afInet6, "AF_INET6"],
  sockStream: [abi.sockStream, "SOCK_STREAM"],
  sockNonblock: [abi.sockNonblock, "SOCK_NONBLOCK"],
  "sockNonblock for pipes": [abi.sockNonblock, "O_NONBLOCK"],
  "sockNonblock for eventfds": [abi.sockNonblock, "EFD_NONBLOCK"],
  sockCloexec: [abi.sockCloexec, "SOCK_CLOEXEC"],
  "sockCloexec for pipes": [abi.sockCloexec, "O_CLOEXEC"],
  "sockCloexec for epoll": [abi.sockCloexec, "EPOLL_CLOEXEC"],
  "sockCloexec for eventfds": [abi.sockCloexec, "EFD_CLOEXEC"],
  solSocket: [abi.solSocket, "SOL_SOCKET"],
  soReuseAddr: [abi.soReuseAddr, "SO_REUSEADDR"],
  soError: [abi.soError, "SO_ERROR"],
  soKeepalive: [abi.soKeepalive, "SO_KEEPALIVE"],
  soAcceptConn: [abi.soAcceptConn, "SO_ACCEPTCONN"],
  soLinger: [abi.soLinger, "SO_LINGER"],
  soReusePort: [abi.soReusePort, "SO_REUSEPORT"],
  ipprotoTcp: [abi.ipprotoTcp, "IPPROTO_TCP"],
  tcpNodelay: [abi.tcpNodelay, "TCP_NODELAY"],
  tcpKeepIdle: [abi.tcpKeepIdle, "TCP_KEEPIDLE"],
  tcpKeepInterval: [abi.tcpKeepInterval, "TCP_KEEPINTVL"],
  tcpKeepCount: [abi.tcpKeepCount, "TCP_KEEPCNT"],
  ipprotoIpv6: [abi.ipprotoIpv6, "IPPROTO_IPV6"],
  ipv6V6only: [abi.ipv6V6only, "IPV6_V6ONLY"],
  shutWrite: [abi.shutWrite, "SHUT_WR"],
  msgNosignal: [abi.msgNosignal, "MSG_NOSIGNAL"],
  msgDontWait: [abi.msgDontWait, "MSG_DONTWAIT"],
  msgCloexec: [abi.msgCloexec, "MSG_CMSG_CLOEXEC"],
  msgControlTruncated: [abi.msgControlTruncated, "MSG_CTRUNC"],
  scmRights: [abi.scmRights, "SCM_RIGHTS"],
  spliceMove: [abi.spliceMove, "SPLICE_F_MOVE"],
  spliceNonblock: [abi.spliceNonblock, "SPLICE_F_NONBLOCK"],
  fSetPipeSize: [abi.fSetPipeSize, "F_SETPIPE_SZ"],
  fSetDescriptorFlags: [abi.fSetDescriptorFlags, "F_SETFD"],
  closeOnExec: [abi.closeOnExec, "FD_CLOEXEC"],
  fGetFlags: [abi.fGetFlags, "F_GETFL"],
  fSetFlags: [abi.fSetFlags, "F_SETFL"],
  fDuplicate: [abi.fDuplicate, "F_DUPFD_CLOEXEC"],
  ePerm: [abi.ePerm, "-EPERM"],
  eNoent: [abi.eNoent, "-ENOENT"],
  eIntr: [abi.eIntr, "-EINTR"],
  eAgain: [abi.eAgain, "-EAGAIN"],
  "eAgain of writes": [abi.eAgain, "-EWOULDBLOCK"],
  eInval: [abi.eInval, "-EINVAL"],
  eNfile: [abi.eNfile, "-ENFILE"],
  eMfile: [abi.eMfile, "-EMFILE"],
  ePipe: [abi.ePipe, "-EPIPE"],
  eProto: [abi.eProto, "-EPROTO"],
  eAddrInUse: [abi.eAddrInUse, "-EADDRINUSE"],
  eConnAborted: [abi.eConnAborted, "-ECONNABORTED"],
  eConnReset: [abi.eConnReset, "-ECONNRESET"],
  eConnRefused: [abi.eConnRefused, "-ECONNREFUSED"],
  eInProgress: [abi.eInProgress, "-EINPROGRESS"],
  "bytes of epoll_event": [abi.epollEventLayout(process.arch).bytes, "sizeof(struct epoll_event)"],
  "data of epoll_event": [abi.epollEventLayout(process.arch).data, "offsetof(struct epoll_event, data)"],
  "bytes of msghdr": [abi.messageLayout.header.bytes, "sizeof(struct msghdr)"],
  "vectors of msghdr": [abi.messageLayout.header.vectors, "offsetof(struct msghdr, msg_iov)"],
  "vector count of msghdr": [abi.messageLayout.header.vectorCount, "offsetof(struct msghdr, msg_iovlen)"],
  "control of msghdr": [abi.messageLayout.header.control, "offsetof(struct msghdr, msg_control)"],
  "control length of msghdr": [abi.messageLayout.header.controlBytes, "offsetof(struct msghdr, msg_controllen)"],
  "flags of msghdr": [abi.messageLayout.header.flags, "offsetof(struct msghdr, msg_flags)"],
  "bytes of iovec": [abi.messageLayout.vector.bytes, "sizeof(struct iovec)"],
  "base of iovec": [abi.messageLayout.vector.base, "offsetof(struct iovec, iov_base)"],
  "length of iovec": [abi.messageLayout.vector.length, "offsetof(struct iovec, iov_len)"],
  "length of cmsghdr": [abi.messageLayout.control.length, "offsetof(struct cmsghdr, cmsg_len)"],
  "level of cmsghdr": [abi.messageLayout.control.level, "offsetof(struct cmsghdr, cmsg_level)"],
  "type of cmsghdr": [abi.messageLayout.control.type, "offsetof(struct cmsghdr, cmsg_type)"],
  "data of cmsghdr": [abi.messageLayout.control.data, "CMSG_LEN(0)"],
  "alignment of cmsghdr": [abi.messageLayout.control.alignment, "CMSG_SPACE(1) - CMSG_SPACE(0)"],
  "a socket address fits": [socketAddressBytes, "(sizeof(struct sockaddr_un) + 7) / 8 * 8"],
  "bytes of sockaddr_in": [16, "sizeof(struct sockaddr_in)"],
  "bytes of sockaddr_in6": [28, "sizeof(struct sockaddr_in6)"],
  "address of sockaddr_in": [4, "offsetof(struct sockaddr_in, sin_addr)"],
  "address of sockaddr_in6": [8, "offsetof(struct sockaddr_in6, sin6_addr)"],
  "zone of sockaddr_in6": [24, "offsetof(struct sockaddr_in6, sin6_scope_id)"],
  "path of sockaddr_un": [2, "offsetof(struct sockaddr_un, sun_path)"],
  "bytes of linger": [8, "sizeof(struct linger)"],
  "on of linger": [0, "offsetof(struct linger, l_onoff)"],
  "bytes of ssize_t, for which long stands": [8, "sizeof(ssize_t)"],
  "bytes of long": [8, "sizeof(long)"],
};

const headers = ["errno", "fcntl", "netinet/in", "netinet/tcp", "stddef", "stdio", "sys/epoll", "sys/eventfd"];

function program(): string {
  const includes = [...headers, "sys/socket", "sys/types", "sys/un"].map((name) => `#include <${name}.h>`);
  const lines = Object.values(inHeaders).map(([, theirs]) => `printf("%d\\n", (int)(${theirs}));`);
  return ["#define _GNU_SOURCE", ...includes, "int main(void) {", ...lines, "}", ""].join("\n");
}

test("the numbers and layouts are those of the system's own headers", (t) => {
  if (process.platform !== "linux") return passOver(t, "Linux");
  if (!has(t, "gcc")) return;
  const directory = mkdtempSync(join(tmpdir(), "abi-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const source = join(directory, "abi.c");
  writeFileSync(source, program());
  execFileSync("gcc", ["-o", join(directory, "abi"), source], { stdio: ["ignore", "ignore", "inherit"] });
  const printed = execFileSync(join(directory, "abi"), { encoding: "utf8" }).trim().split("\n").map(Number);
  const theirs = Object.fromEntries(Object.keys(inHeaders).map((name, index) => [name, printed[index]]));
  const ours = Object.fromEntries(Object.entries(inHeaders).map(([name, [number]]) => [name, number]));
  t.deepEqual(ours, theirs);
});

test("every number of this file is compared", (t) => {
  const compared = new Set(Object.keys(inHeaders));
  const numbers = Object.entries(abi).filter(([, value]) => typeof value === "number");
  t.deepEqual(
    numbers.map(([name]) => name).filter((name) => !compared.has(name)),
    [],
  );
});

test("an event is packed on x86-64, and aligned on arm64", (t) => {
  t.deepEqual(abi.epollEventLayout("x64"), { bytes: 12, data: 4 });
  t.deepEqual(abi.epollEventLayout("arm64"), { bytes: 16, data: 8 });
  for (const arch of abi.supportedArchs) {
    const { bytes, data } = abi.epollEventLayout(arch);
    t.is(bytes - data, 8, "the data fills the end");
    t.is(bytes % 4, 0, "the loop reads words");
  }
});
