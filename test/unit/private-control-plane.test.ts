import { EventEmitter, once } from "node:events";
import test, { type ExecutionContext } from "ava";
import { inThreadPorts } from "../../src/base/port.js";
import { meshSecureContext } from "../../src/mesh/client.js";
import type { NameResult } from "../../src/mesh/messages.js";
import { createPrivateControlPlane } from "../../src/private/control-plane.js";
import { createEndpointRules } from "../../src/private/endpoint-rules.js";
import type { FromPrivateDataPlane, ToPrivateDataPlane } from "../../src/private/messages.js";
import type { TargetStatement } from "../../src/private/target-book.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { faultLink } from "../harness/fault-link.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { memoryLog } from "../harness/memory-log.js";
import { pemOf, type SeenServer, seenMeshServer } from "../harness/mesh.js";
import { startPublic } from "../harness/pair.js";
import { freePorts } from "../harness/processes.js";
import { address } from "../harness/settings.js";
import { until } from "../harness/until.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const config = { pooledMaxAgeMs: 0, idleTimeoutMs: 1000, halfClosedTimeoutMs: 1000, reportConnections: false };

function target(names: readonly string[], port = 1, changes: Partial<TargetStatement> = {}): TargetStatement {
  const address = { kind: "tcp", host: "127.0.0.1", port } as const;
  return {
    names,
    alpn: [],
    addresses: [address],
    balance: "least-connections",
    weight: 1,
    priority: 0,
    proxyProtocol: "none",
    startTls: "none",
    connectTimeoutMs: 1000,
    queue: { max: 1024, timeoutMs: 5000 },
    ...changes,
  };
}

const pool = { minIdle: 0, maxIdle: 0, max: 0, maxAgeMs: 0 };

/** A control plane attached to these servers; the test is its data plane. */
function controlPlane(
  t: ExecutionContext,
  servers: readonly { readonly port: number; readonly host?: string }[],
  targets: readonly TargetStatement[],
  lookup?: () => Promise<readonly string[]>,
) {
  const [port, dataPort] = inThreadPorts<FromPrivateDataPlane, ToPrivateDataPlane>({ clone: true });
  const messages: ToPrivateDataPlane[] = [];
  const emitter = new EventEmitter();
  dataPort.receive((message) => {
    messages.push(message);
    if (message.type === "close") dataPort.post({ type: "closed" });
    emitter.emit("message");
  });
  const log = memoryLog();
  const control = createPrivateControlPlane({
    name: "test",
    version: "0",
    log,
    port,
    publics: servers.map(({ host = "127.0.0.1", port: meshPort }) => ({ host, port: meshPort })),
    ...(lookup === undefined ? {} : { lookup }),
    serverName: "",
    context: meshSecureContext(pemOf(certificates, "private-proxy-1")),
    reconnect: { minMs: 1, maxMs: 10 },
    keepalive: { intervalMs: 5000, timeoutMs: 5000 },
    endpointRules: createEndpointRules([]),
    targets,
    pool,
    connections: () => 0,
    queueLoad: () => ({ live: 0, queued: 0 }),
  });
  t.teardown(() => control.close());
  return {
    control,
    dataPort,
    log,
    messages,
    /** Waits until so many messages of a type have come to the data plane. */
    async until<const T extends ToPrivateDataPlane["type"]>(type: T, count = 1) {
      const ofType = () =>
        messages.filter((message): message is Extract<ToPrivateDataPlane, { type: T }> => message.type === type);
      while (ofType().length < count) await once(emitter, "message");
      return ofType();
    },
  };
}

async function welcomed(server: SeenServer, rendezvousEndpoints: readonly string[] = [":1"]) {
  const stream = await server.stream();
  await stream.next();
  stream.link.send({
    type: "welcome",
    welcome: {
      protocolVersion: 1,
      nodeName: "public",
      sessionId: "ab".repeat(16),
      rendezvousEndpoints,
      unansweredOffers: 1,
      maxNames: 1,
      attemptTimeoutMs: 0,
      softwareVersion: "0",
    },
  });
  return stream;
}

const accepted = (...names: string[]): NameResult[] => names.map((name) => ({ name, status: "accepted", detail: "" }));

test("two public proxies that choose one session id have a session each", async (t) => {
  const servers = [await seenMeshServer(t, certificates), await seenMeshServer(t, certificates)];
  const { until } = controlPlane(t, servers, []);
  for (const server of servers) await welcomed(server, [`:${server.port}`]);
  const attached = await until("attached", 2);
  t.is(new Set(attached.map(({ session }) => session)).size, 2);
  t.deepEqual(
    attached
      .map(({ endpoints }) => endpoints.flat().map((address) => address.kind === "tcp" && address.port)[0])
      .toSorted(),
    servers.map(({ port }) => port).toSorted(),
  );
});

test("results for what was never announced, or is announced no more, count for nothing", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { control, log } = controlPlane(t, [server], [target(["a.test"], 1), target(["b.test"], 2)]);
  const stream = await welcomed(server);
  t.like(await stream.next(), { announcementId: 1, names: ["a.test"] });
  t.like(await stream.next(), { announcementId: 2, names: ["b.test"] });
  stream.link.send({ type: "announceResult", announcementId: 99, results: accepted("c.test") });
  stream.link.send({ type: "announceResult", announcementId: 1, results: accepted("a.test", "d.test") });
  await log.line(({ fields }) => fields.name === "a.test");
  t.is(control.accepted, 1);

  control.reconfigure({ targets: [target(["a.test"], 1)], pool }, config);
  t.deepEqual(await stream.next(), { type: "withdraw", announcementId: 2 });
  stream.link.send({ type: "announceResult", announcementId: 2, results: accepted("b.test") });
  stream.link.send({ type: "announceResult", announcementId: 1, results: accepted("e.test") });
  stream.link.send({ type: "drain" });
  await log.line(({ message }) => message.includes("about to stop"));
  t.is(log.lines.filter(({ message }) => message === "name announced").length, 1);
});

test("when the public proxy drains, all is announced anew to who is there, and replies go where they belong", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { control, log } = controlPlane(t, [server], [target(["a.test"], 1)]);
  const old = await welcomed(server);
  t.like(await old.next(), { type: "announce", announcementId: 1 });
  old.link.send({ type: "announceResult", announcementId: 1, results: accepted("a.test") });
  await log.line(({ fields }) => fields.name === "a.test");
  old.link.send({ type: "drain" });
  const next = await welcomed(server);
  t.like(await next.next(), { type: "announce", announcementId: 1 });
  t.deepEqual(
    control.attachments().map(({ state }) => state),
    ["attached", "draining"],
  );
  // Withdrawn there only: the old one goes on as it is.
  control.reconfigure({ targets: [target(["b.test"], 2)], pool }, config);
  t.like(await next.next(), { type: "announce", announcementId: 2 });
  old.link.end();
  await log.line(({ message, level }) => message === "detached" && level === "info");
  t.is(control.attached, 1);
});

test("a name that moves to another target is announced anew before it is withdrawn", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { control } = controlPlane(t, [server], [target(["a.test"], 1)]);
  const stream = await welcomed(server);
  await stream.next();
  control.reconfigure({ targets: [target(["a.test"], 2)], pool }, config);
  t.like(await stream.next(), { type: "announce", announcementId: 2 });
  t.deepEqual(await stream.next(), { type: "withdraw", announcementId: 1 });
});

test("a target whose weight or priority alone has changed is announced anew under its id, and never withdrawn", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { control } = controlPlane(t, [server], [target(["a.test"], 1, { weight: 3, priority: 1 })]);
  const stream = await welcomed(server);
  t.like(await stream.next(), { type: "announce", announcementId: 1, weight: 3, priority: 1 });
  control.reconfigure({ targets: [target(["a.test"], 1, { weight: 5, priority: 1 })], pool }, config);
  t.like(await stream.next(), { type: "announce", announcementId: 1, weight: 5, priority: 1 });
  control.reconfigure({ targets: [target(["a.test"], 1, { weight: 5 })], pool }, config);
  t.like(await stream.next(), { type: "announce", announcementId: 1, weight: 5, priority: 0 });
  // The same again says nothing: what comes next is about another target.
  control.reconfigure({ targets: [target(["a.test"], 1, { weight: 5 }), target(["b.test"], 2)], pool }, config);
  t.like(await stream.next(), { type: "announce", announcementId: 2 });
});

test("settings loaded twice at once leave announced what the last ones say", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { control } = controlPlane(t, [server], [target(["a.test"], 1)]);
  const stream = await welcomed(server);
  await stream.next();
  control.reconfigure({ targets: [target(["a.test"], 2)], pool }, config);
  control.reconfigure({ targets: [target(["a.test"], 3)], pool }, config);
  const announced = new Set([1]);
  while (announced.size > 1 || !announced.has(3)) {
    const message = await stream.next();
    if (message.type === "announce") announced.add(message.announcementId);
    if (message.type === "withdraw") announced.delete(message.announcementId);
  }
  t.true(announced.has(3));
});

test("endpoints that are not allowed are logged and never reach the data plane", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { until, log } = controlPlane(t, [server], []);
  await welcomed(server, ["10.0.0.1:22", ":4434", "[fe80::1%lo]:1", "unix:/run/x"]);
  const [attached] = await until("attached");
  t.deepEqual(attached?.endpoints, [[], [{ kind: "tcp", ip: "127.0.0.1", port: 4434 }], [], []]);
  t.is(log.lines.filter(({ fields }) => fields.reason === "endpoint_refused").length, 3);
});

test("an offer that claims to wait for weeks waits for minutes", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { until } = controlPlane(t, [server], [target(["a.test"])]);
  const stream = await welcomed(server);
  await until("attached");
  const offer = {
    token: new Uint8Array(32),
    announcementId: 1,
    serverName: "a.test",
    alpn: [],
    client: "192.0.2.1:1",
    endpoint: 0,
    msLeft: 2 ** 32 - 1,
    connectionId: "c",
  };
  stream.link.send({ type: "offers", offers: [offer] });
  const [offers] = await until("offers");
  t.is(offers?.offers[0]?.msLeft, 600_000);
});

test("a cap that changes is told to the data plane alone: the target stays announced, under its id", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { control, until } = controlPlane(t, [server], [{ ...target(["a.test"]), maxConnections: 2 }]);
  const stream = await welcomed(server);
  t.like(await stream.next(), { announcementId: 1, names: ["a.test"] });
  const targets = [{ ...target(["a.test"]), maxConnections: 3 }, target(["b.test"], 2)];
  control.reconfigure({ targets, pool }, config);
  t.like(await stream.next(), { type: "announce", announcementId: 2 });
  const told = (await until("targets", 2)).map(({ targets }) =>
    targets.map(({ announcementId, cap }) => [announcementId, cap]),
  );
  const cap = { queueId: 0, max: 1024, timeoutMs: 5000 };
  t.deepEqual(told.at(-1), [
    [1, { ...cap, maxConnections: 3 }],
    [2, undefined],
  ]);
  control.reconfigure({ targets: [{ ...target(["a.test", "c.test"]), maxConnections: 4 }], pool }, config);
  const { targets: last } = (await until("targets", 3)).at(-1)!;
  t.deepEqual(
    last.map(({ announcementId, cap }) => [announcementId, cap?.queueId, cap?.maxConnections]),
    [
      [3, 0, 4],
      [1, 0, 3],
      [2, undefined, undefined],
    ],
  );
});

test("that a client waits for its target is told to the public proxy that sent it", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { until, dataPort } = controlPlane(t, [server], [target(["a.test"])]);
  const stream = await welcomed(server);
  await stream.next();
  const [attached] = await until("attached");
  const token = new Uint8Array(32).fill(7);
  dataPort.post({ type: "queued", session: "another", token, msLeft: 1 });
  dataPort.post({ type: "queued", session: attached!.session, token, msLeft: 8000 });
  t.like(await stream.next(), { type: "queued", msLeft: 8000 });
});

test("a name with three addresses, two of which lead to one public proxy, is attached to each public proxy once", async (t) => {
  const [port] = (await freePorts(1)) as [number];
  const at = (ip: string) => address(`${ip}:${port}`);
  const both = await startPublic(t, certificates, { mesh: { listen: [at("127.0.0.1"), at("127.0.0.2")] } });
  await startPublic(t, certificates, { mesh: { listen: [at("127.0.0.3")] } });
  const ips = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
  const { control } = controlPlane(t, [{ host: "localhost", port }], [target([serverName])], async () => ips);
  const states = () => Object.fromEntries(control.attachments().map((one) => [one.address, one.state]));
  const settled = () => Object.values(states()).toSorted().join() === "attached,attached,standby";
  await until(settled, () => JSON.stringify(states()));
  t.is(states()[`127.0.0.3:${port}`], "attached");
  t.deepEqual(new Set(control.attachments().map(({ publicProxy }) => publicProxy)), new Set([`localhost:${port}`]));
  t.is(control.attached, 2);

  // Nobody takes turns.
  t.is(both.proxy.status().attachments.length, 1);
  await until(() => both.proxy.status().announcements.length === 1);
  const attachedTimes = both.log.lines.filter(({ message }) => message === "private proxy attached").length;
  t.true(attachedTimes <= 2, `attached ${attachedTimes} times`);
});

test("where the address that is attached is lost, the one that stood by takes over at once", async (t) => {
  const [port] = (await freePorts(1)) as [number];
  await startPublic(t, certificates, { mesh: { listen: [address(`127.0.0.1:${port}`)] } });
  const link = await faultLink(t, port, { host: "127.0.0.2", port });
  const { control } = controlPlane(t, [{ host: "localhost", port }], [], async () => ["127.0.0.2", "127.0.0.1"]);
  const states = () => Object.fromEntries(control.attachments().map((one) => [one.address, one.state]));
  const settled = () => Object.values(states()).toSorted().join() === "attached,standby";
  await until(settled, () => JSON.stringify(states()));
  link.close();
  const direct = `127.0.0.1:${port}`;
  await until(
    () => states()[direct] === "attached",
    () => JSON.stringify(states()),
  );
  t.is(control.attached, 1);
});

test("an address that is gone from the name is left, without an alarm, and stands in the status no more", async (t) => {
  const [port] = (await freePorts(1)) as [number];
  await startPublic(t, certificates, { mesh: { listen: [address(`127.0.0.1:${port}`)] } });
  let ips = ["127.0.0.1", "127.0.0.2"];
  const { control, log } = controlPlane(t, [{ host: "localhost", port }], [], async () => ips);
  await log.line(({ message }) => message === "attached");
  t.is(control.attachments().length, 2);
  // Nobody listens at the other one. After a failure the name is looked up with the next round, 10 s later at most.
  ips = ["127.0.0.1"];
  await until(
    () => control.attachments().length === 1,
    () => JSON.stringify(control.attachments()),
  );
  await log.line(({ message, fields }) => /leaving it/.test(message) && fields.address === `127.0.0.2:${port}`);
  t.like(control.attachments(), [{ address: `127.0.0.1:${port}`, state: "attached" }]);
  t.false(log.lines.some(({ fields }) => fields.reason === "mesh_lost"));
});
