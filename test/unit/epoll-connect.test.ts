import { readFileSync } from "node:fs";
import test from "ava";
import { deadlineIn } from "../../src/base/deadline.js";
import { eInProgress, epollOut, ipprotoTcp, tcpNodelay } from "../../src/transport/epoll/abi.js";
import { connect } from "../../src/transport/epoll/connect.js";
import type { EpollEndpoint } from "../../src/transport/epoll/endpoint.js";
import { encodeSocketAddress } from "../../src/transport/epoll/socket-address.js";
import { type PaperKernel, paperKernel } from "./epoll-paper-kernel.js";

const soon = () => deadlineIn(5000, "connect_timeout");
const service = { kind: "tcp", ip: "192.0.2.1", port: 443 } as const;
const home = { kind: "tcp", ip: "192.0.2.7", port: 40_001 } as const;

/** Connections get the numbers from 7 on. */
function kernelThatConnects(behaviour: Parameters<typeof paperKernel>[0] = {}): PaperKernel {
  let next = 7;
  const kernel = paperKernel({
    socket: () => next++,
    connect: () => eInProgress,
    socketName(descriptor, address) {
      kernel.calls.push(`socketName ${descriptor}`);
      address.set(encodeSocketAddress(home)!.bytes);
      return 0;
    },
    setOption(descriptor, level, option) {
      kernel.calls.push(`${level === ipprotoTcp && option === tcpNodelay ? "noDelay" : "setOption"} ${descriptor}`);
      return 0;
    },
    ...behaviour,
  });
  return kernel;
}

async function connected(kernel: PaperKernel, descriptor: number, port: number = service.port): Promise<EpollEndpoint> {
  const connecting = connect(kernel.loop, { ...service, port }, soon());
  kernel.tell(kernel.ticket(descriptor), epollOut);
  return (await connecting.connected) as EpollEndpoint;
}

test("where a connection comes from is asked once, of the one that somebody wants to know it of", async (t) => {
  const kernel = kernelThatConnects();
  t.teardown(() => kernel.loop.stop());
  const [one, other] = [await connected(kernel, 7), await connected(kernel, 8)];
  t.deepEqual(kernel.calls, []);
  t.deepEqual([one.local, one.local], Array(2).fill({ family: "ipv4", address: home.ip, port: home.port }));
  t.deepEqual(kernel.calls, ["socketName 7"]);
  other.destroy();
  t.deepEqual(other.local, { family: "ipv4", address: "0.0.0.0", port: 0 }, "its number may be somebody else's");
  t.deepEqual(kernel.calls, ["socketName 7", "close 8"]);
});

test("whether a connection met itself is looked at where the system may give the port to connections", async (t) => {
  const kernel = kernelThatConnects();
  t.teardown(() => kernel.loop.stop());
  const [first = 0, last = 0] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "latin1")
    .split("\t")
    .map(Number);
  for (const [at, port] of [first - 1, first, last, last + 1].entries()) await connected(kernel, 7 + at, port);
  t.deepEqual(kernel.calls, ["socketName 8", "socketName 9"]);
});

test("the first bytes of a connection need no option, and from the second send on nothing is held back", async (t) => {
  const kernel = kernelThatConnects();
  t.teardown(() => kernel.loop.stop());
  const endpoint = await connected(kernel, 7);
  for (const text of ["a hello", "and more", "and more"]) endpoint.write(Buffer.from(text));
  t.deepEqual(kernel.calls, ["send 7", "noDelay 7", "send 7", "send 7"]);
});
