import test from "ava";
import { createCounters, readCounters } from "../../src/base/counters.js";
import { inThreadPorts } from "../../src/base/port.js";
import { createClientTables, createClientTallies } from "../../src/public/client-tallies.js";
import { startPublicDataPlane } from "../../src/public/data-plane.js";
import { createLoadBoard, createLoads } from "../../src/public/loads.js";
import type {
  FromPublicDataPlane,
  PassedAs,
  PublicDataPlaneConfig,
  ToPublicDataPlane,
} from "../../src/public/messages.js";
import type { Exchange, PassedEndpoint } from "../../src/transport/epoll/boot.js";
import type { Transport } from "../../src/transport/transport.js";
import { fakeEndpoint } from "./fake-endpoint.js";

const config = {
  helloTimeoutMs: 1000,
  maxHelloBytes: 1000,
  acceptProxyProtocol: [],
  maxConnections: 1,
  maxHalfOpenHellos: 10,
  grantedPatterns: [],
  reportConnections: false,
} as unknown as PublicDataPlaneConfig;

test("a client that another worker had let in is served: its place was another's by then, and it was refused for it", async (t) => {
  const board = createLoadBoard(2);
  createLoads(board, 0).setLive(1);
  const transport = { alarm: () => () => {} } as unknown as Transport;
  const exchange = { workers: 2, isThere: () => true, take: () => fakeEndpoint() } as unknown as Exchange;
  const [control, port] = inThreadPorts<FromPublicDataPlane, ToPublicDataPlane>();
  const counters = createCounters();
  await startPublicDataPlane({
    transport,
    port,
    counters,
    config,
    clientListen: [],
    rendezvousListen: [],
    worker: 1,
    loads: createLoads(board, 1),
    tallies: createClientTallies(createClientTables(2, 10), 1),
    exchange,
  });
  control.receive(() => {});
  const refused = () => readCounters([counters.buffer]).refused;
  async function pass(as: PassedAs): Promise<void> {
    control.post({ type: "passed", passed: {} as PassedEndpoint, as });
    await new Promise((resolve) => setImmediate(resolve));
  }
  const nowhere = { family: "unix" } as const;
  await pass({ kind: "begun", begun: { id: "c", session: "s", source: nowhere, destination: nowhere, ageMs: 1 } });
  t.deepEqual(refused(), {});
  await pass({ kind: "client" });
  t.deepEqual(refused(), { connections_full: 1 });
  control.post({ type: "close" });
});
