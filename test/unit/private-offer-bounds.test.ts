import { randomBytes } from "node:crypto";
import test from "ava";
import { createCounters, readCounters } from "../../src/base/counters.js";
import { type Deadline, deadlineIn, msLeft } from "../../src/base/deadline.js";
import { ProxyError } from "../../src/base/errors.js";
import { inThreadPorts } from "../../src/base/port.js";
import { startPrivateDataPlane } from "../../src/private/data-plane.js";
import { dialInTurn } from "../../src/private/dialling.js";
import type { FromPrivateDataPlane, IncomingOffer, ToPrivateDataPlane } from "../../src/private/messages.js";
import { createServerBoard, createServerLoads } from "../../src/private/server-loads.js";
import type { ResolvedAddress, Transport } from "../../src/transport/transport.js";

const target: ResolvedAddress = { kind: "tcp", ip: "192.0.2.1", port: 1 };
const rendezvous: ResolvedAddress = { kind: "tcp", ip: "192.0.2.2", port: 2 };

/** A transport on which nobody ever answers. */
function silentTransport() {
  const dialled: { readonly address: ResolvedAddress; readonly deadline: Deadline }[] = [];
  const transport = {
    connect(address: ResolvedAddress, deadline: Deadline) {
      dialled.push({ address, deadline });
      let reject!: (error: Error) => void;
      const connected = new Promise<never>((_, fail) => {
        reject = fail;
      });
      connected.catch(() => {});
      return { connected, cancel: () => reject(new ProxyError("closed_here")) };
    },
  } as unknown as Transport;
  return { transport, dialled };
}

function dataPlane() {
  const { transport, dialled } = silentTransport();
  const counters = createCounters();
  const [control, data] = inThreadPorts<FromPrivateDataPlane, ToPrivateDataPlane>();
  const config = { pooledMaxAgeMs: 0, idleTimeoutMs: 1000, halfClosedTimeoutMs: 1000, reportConnections: false };
  const loads = createServerLoads(createServerBoard(1), 0);
  startPrivateDataPlane({ transport, port: data, counters, loads, config });
  const told: FromPrivateDataPlane[] = [];
  control.receive((message) => told.push(message));
  const server = { address: "target", slot: 0, resolved: [target], up: true };
  const facts = { announcementId: 1, patterns: ["*"], address: "target", servers: [server] };
  control.post({
    type: "targets",
    targets: [{ ...facts, balance: "source-ip", proxyProtocol: "none", startTls: "none", connectTimeoutMs: 100_000 }],
  });
  control.post({ type: "attached", session: "s", publicProxy: "p", endpoints: [[rendezvous]], attemptTimeoutMs: 3000 });
  const refused = () => readCounters([counters.buffer]).refused;
  return { control, dialled, told, refused };
}

const offer = (changes: Partial<IncomingOffer> = {}): IncomingOffer => ({
  token: randomBytes(32),
  announcementId: 1,
  serverName: "a.example.com",
  client: "192.0.2.3:3",
  endpoint: 0,
  msLeft: 3000,
  connectionId: "c",
  ...changes,
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("an offer that says it is good for weeks is not believed", async (t) => {
  const { control, dialled } = dataPlane();
  control.post({ type: "offers", session: "s", offers: [offer({ msLeft: 4_000_000_000 })] });
  await turn();
  t.is(dialled.length, 2);
  for (const { deadline } of dialled) t.true(msLeft(deadline) <= 60_000);
  control.post({ type: "close" });
});

test("more offers than any honest public proxy has under way are declined, counted, and not dialled", async (t) => {
  const { control, dialled, told, refused } = dataPlane();
  const offers = Array.from({ length: 5000 }, () => offer());
  control.post({ type: "offers", session: "s", offers });
  await turn();
  t.is(dialled.length, 2 * 2048);
  t.is(told.filter(({ type }) => type === "declined").length, 5000 - 2048);
  t.is(refused().offers_crowded, 5000 - 2048);
  // Those that are taken back make room.
  control.post({ type: "cancel", token: offers[0]!.token });
  await turn();
  control.post({ type: "offers", session: "s", offers: [offer(), offer()] });
  await turn();
  t.is(dialled.length, 2 * 2049);
  control.post({ type: "close" });
});

test("a target that never answers is given up while there is time to tell the public proxy", async (t) => {
  const { control, dialled } = dataPlane();
  control.post({ type: "offers", session: "s", offers: [offer({ msLeft: 3000 })] });
  await turn();
  const [toTarget, toPublic] = dialled;
  t.is(toTarget?.address, target);
  t.true(toPublic!.deadline.at - toTarget!.deadline.at >= 200);
  control.post({ type: "close" });
});

test("of several addresses, one that swallows packets leaves time for the others", async (t) => {
  const { transport, dialled } = silentTransport();
  const deadline = deadlineIn(3000, "offer_expired");
  const dialling = dialInTurn(transport, {
    addresses: [target, rendezvous],
    deadline,
    code: "dial_back_failed",
    what: "test",
  });
  t.true(deadline.at - dialled[0]!.deadline.at >= 1400);
  dialling.cancel();
  await t.throwsAsync(dialling.connected, { code: "offer_cancelled" });
});
