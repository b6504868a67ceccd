import { randomBytes } from "node:crypto";
import test from "ava";
import { begunOrRefused, createCounters, readCounters } from "../../src/base/counters.js";
import { inThreadPorts } from "../../src/base/port.js";
import { startPrivateDataPlane } from "../../src/private/data-plane.js";
import type { FromPrivateDataPlane, TargetCap, ToPrivateDataPlane } from "../../src/private/messages.js";
import { createServerBoard, createServerLoads } from "../../src/private/server-loads.js";
import { encodeProxyV2 } from "../../src/rendezvous/proxy-v2-encode.js";
import { decodeVerdict } from "../../src/rendezvous/verdict.js";
import type { Endpoint } from "../../src/transport/endpoint.js";
import type { Exchange, Given } from "../../src/transport/epoll/boot.js";
import type { ResolvedAddress, Transport } from "../../src/transport/transport.js";
import { type FakeEndpoint, fakeEndpoint } from "./fake-endpoint.js";

// Clients that come on parked dial-backs, and are not served.

const target: ResolvedAddress = { kind: "tcp", ip: "192.0.2.1", port: 1 };
const rendezvous: ResolvedAddress = { kind: "tcp", ip: "192.0.2.2", port: 2 };

/** What a public proxy writes when it gives a dial-back to a client. */
const header = encodeProxyV2({
  source: { family: "ipv4", address: "192.0.2.3", port: 3 },
  destination: { family: "ipv4", address: "192.0.2.4", port: 4 },
  connectionId: "c",
  announcementId: 1,
  serverName: "a.example.com",
});

/** A parked dial-back to which a client is given at once. */
function givenAtOnce(): FakeEndpoint {
  const unread: Uint8Array[] = [header];
  const endpoint = fakeEndpoint();
  const silent = new Promise<undefined>(() => {});
  return Object.assign(endpoint, {
    read: () => (unread.length > 0 ? Promise.resolve(unread.shift()) : silent),
    unread: (bytes: Uint8Array) => void unread.unshift(bytes),
  });
}

/** Worker 0 of two; the target is worker 1's where it has a cap. The target never answers, the public proxy does. */
function dataPlane({ cap, given }: { readonly cap?: TargetCap; readonly given?: Given["status"] } = {}) {
  const dialBacks: FakeEndpoint[] = [];
  const transport = {
    alarm: () => () => {},
    connect(address: ResolvedAddress) {
      if (address === target) return { connected: new Promise<never>(() => {}), cancel() {} };
      const dialBack = givenAtOnce();
      dialBacks.push(dialBack);
      return { connected: Promise.resolve(dialBack as Endpoint), cancel() {} };
    },
  } as unknown as Transport;
  const exchange = { workers: 2, isThere: () => true, give: () => ({ status: given }) } as unknown as Exchange;
  const counters = createCounters();
  const [control, data] = inThreadPorts<FromPrivateDataPlane, ToPrivateDataPlane>();
  const config = { pooledMaxAgeMs: 0, idleTimeoutMs: 1000, halfClosedTimeoutMs: 1000, reportConnections: false };
  const loads = createServerLoads(createServerBoard(1), 0);
  startPrivateDataPlane({ transport, port: data, counters, loads, config, worker: 0, exchange });
  const told: FromPrivateDataPlane[] = [];
  control.receive((message) => told.push(message));
  const server = { address: "target", slot: 0, resolved: [target], up: true };
  const facts = {
    announcementId: 1,
    patterns: ["*"],
    address: "target",
    servers: [server],
    balance: "source-ip",
  } as const;
  const rest = { proxyProtocol: "none", startTls: "none", connectTimeoutMs: 60_000 } as const;
  control.post({ type: "targets", targets: [{ ...facts, ...rest, ...(cap === undefined ? {} : { cap }) }] });
  control.post({
    type: "attached",
    session: "s",
    publicProxy: "p",
    endpoints: [[rendezvous]],
    attemptTimeoutMs: 60_000,
  });
  return {
    dialBacks,
    counters,
    refused: () => readCounters([counters.buffer]).refused,
    async park(count: number) {
      control.post({ type: "park", session: "s", tokens: Array.from({ length: count }, () => randomBytes(32)) });
      const used = () => told.filter((one) => one.type === "unparked" && one.how === "used").length;
      while (used() < dialBacks.length || dialBacks.length === 0) await new Promise((resolve) => setImmediate(resolve));
    },
    close: () => control.post({ type: "close" }),
  };
}

const cap: TargetCap = { queueId: 1, maxConnections: 1, max: 1, timeoutMs: 1000 };

for (const given of ["left", "absent"] as const) {
  test(`a client for a target of another thread, which is ${given}, is counted: it counted as on its way here for ever`, async (t) => {
    const by = dataPlane({ cap, given });
    t.teardown(by.close);
    await by.park(3);
    t.is(begunOrRefused(by.counters.buffer, "offers_crowded"), 3, "what the main thread waits for");
    const { opened, closed } = readCounters([by.counters.buffer]);
    t.deepEqual([opened, closed], [3, 3]);
    t.deepEqual(by.refused(), given === "left" ? { offer_cancelled: 3 } : { verdict_refused: 3 });
    if (given === "absent") for (const { last } of by.dialBacks) t.is(decodeVerdict(last![0]!), "verdict_refused");
  });
}

test("clients on parked dial-backs count as offers do: with them a public proxy could have any number under way", async (t) => {
  const by = dataPlane();
  t.teardown(by.close);
  await by.park(1500);
  t.is(by.refused().offers_crowded, 1500 - 1024);
  t.is(readCounters([by.counters.buffer]).opened, 1024);
  t.is(decodeVerdict(by.dialBacks.at(-1)!.last![0]!), "verdict_refused");
});
