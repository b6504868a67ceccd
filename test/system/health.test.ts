import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import test, { type ExecutionContext } from "ava";
import type { Address } from "../../src/base/address.js";
import type { HealthCheckSettings } from "../../src/settings/types.js";
import { deafListener } from "../engine/deaf-listener.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { checkedServer } from "../harness/checked-server.js";
import { alertErrors, ask, tlsClient, tlsError } from "../harness/clients.js";
import { echoServer, type InternalServer, plainServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import type { LogLine, MemoryLog } from "../harness/memory-log.js";
import { announced, startPair, startPrivate, startPublic } from "../harness/pair.js";
import { freePorts, type ProxyProcess, ready, runProxyProcess } from "../harness/processes.js";
import { address, engineUnderTest } from "../harness/settings.js";

// Targets that go down, come back, flap, or never were what they seem: who serves meanwhile, and who is told.

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const fast: HealthCheckSettings = { type: "tcp", intervalMs: 30, timeoutMs: 1000, rise: 2, fall: 2 };

/** The `count`th line that fits, past or to come. */
function nth(log: MemoryLog, count: number, fits: (line: LogLine) => boolean): Promise<LogLine> {
  let seen = 0;
  return log.line((line) => fits(line) && ++seen === count);
}

const isUp = ({ message }: LogLine) => message === "target is up";
const isDown = ({ message }: LogLine) => message.startsWith("target is down");
const isAnnounced = ({ message }: LogLine) => message === "name announced";
const isConnection = ({ message }: LogLine) => message === "connection";

async function served(port: number, options: object = {}): Promise<TLSSocket> {
  const client = await tlsClient(port, certificates, options);
  if ((await ask(client, "hello")) !== "hello") throw new Error("not served");
  return client;
}

/** An echo server that can close its port, and open it again, without touching the connections it has. */
async function doorServer(t: ExecutionContext) {
  const tls = createTlsServer(certificates.pem("internal-server"), (socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  tls.on("tlsClientError", () => {});
  const sockets = new Set<Socket>();
  const [port] = await freePorts(1);
  let door: ReturnType<typeof createServer> | undefined;
  const server = {
    port: port!,
    address: { kind: "tcp", host: "127.0.0.1", port: port! } as Address,
    async open() {
      door = createServer((socket) => {
        sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => sockets.delete(socket));
        tls.emit("connection", socket);
      });
      door.listen(port, "127.0.0.1");
      await once(door, "listening");
    },
    /** Resolves when nobody listens any more; connections go on. */
    shut() {
      door?.close();
      door = undefined;
    },
  };
  t.teardown(() => {
    server.shut();
    for (const socket of sockets) socket.destroy();
  });
  await server.open();
  return server;
}

async function echo(t: ExecutionContext): Promise<InternalServer> {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  return server;
}

test("a target that goes down is withdrawn, what is spliced stays, and it is announced again when it is back", async (t) => {
  const server = await doorServer(t);
  const pair = await startPair(t, certificates, [{ address: server.address, healthCheck: fast }]);
  const { log, proxy } = pair.private;
  const live = await served(pair.public.clientPort);

  server.shut();
  const down = await log.line(isDown);
  t.like(down.fields, { target: `127.0.0.1:${server.port}`, name: serverName, addressesUp: 0 });
  t.regex(String(down.fields.why), /ECONNREFUSED/);
  t.is(await tlsError(pair.public.clientPort, certificates), alertErrors.unrecognizedName);
  t.is(await ask(live, "still here"), "still here");
  const status = proxy.status();
  t.like(status.announcements[0], { name: serverName, status: "withdrawn" });
  t.regex(String(status.announcements[0]!.detail), /ECONNREFUSED/);
  t.like(status.targets?.[0]?.addresses[0], { state: "down", live: 1 });
  t.deepEqual(pair.public.proxy.status().announcements, []);

  await server.open();
  await nth(pair.public.log, 2, isAnnounced);
  (await served(pair.public.clientPort)).destroy();
  t.like(proxy.status().announcements[0], { status: "accepted", detail: "" });
  t.deepEqual([log.lines.filter(isUp).length, log.lines.filter(isDown).length], [2, 1], "each change is logged once");
  live.destroy();
});

test("a target that was down from the start is announced only once it is up", async (t) => {
  const server = await doorServer(t);
  server.shut();
  const publicProxy = await startPublic(t, certificates);
  const { log } = await startPrivate(
    t,
    certificates,
    [publicProxy.mesh],
    [{ address: server.address, healthCheck: fast }],
  );
  await log.line(isDown);
  await log.line(({ message }) => message === "attached");
  t.is(await tlsError(publicProxy.clientPort, certificates), alertErrors.unrecognizedName);
  t.false(publicProxy.log.lines.some(isAnnounced));
  await server.open();
  await announced(publicProxy, serverName);
  (await served(publicProxy.clientPort)).destroy();
});

test("a flapping target is withdrawn after fall failed checks in a row and announced after rise good ones, not before", async (t) => {
  const server = await checkedServer(certificates);
  t.teardown(() => server.close());
  const check: HealthCheckSettings = { type: "tls", intervalMs: 1, timeoutMs: 8000, rise: 3, fall: 2 };
  const publicProxy = await startPublic(t, certificates);
  const { log, proxy } = await startPrivate(
    t,
    certificates,
    [publicProxy.mesh],
    [{ address: server.address, healthCheck: check }],
  );
  const changes = () =>
    log.lines.filter((line) => isUp(line) || isDown(line)).map((line) => (isUp(line) ? "up" : "down"));
  const state = () => proxy.status().targets?.[0]?.addresses[0]?.state;
  await log.line(({ message }) => message === "attached");
  t.is(state(), "unchecked");
  t.like(proxy.status().announcements[0], { status: "pending", detail: "its addresses are being checked" });

  await server.answer(true);
  await nth(publicProxy.log, 1, isAnnounced);
  // One failure at a time, however often: never two in a row. When a check has begun, the one before has been judged.
  await server.answer(false, true, false, true, true, false, true);
  t.deepEqual([state(), changes()], ["up", ["up"]]);
  await server.answer(false, false);
  await log.line(isDown);
  await server.answer(true, true, false, true, false, true, true);
  t.deepEqual([state(), changes()], ["down", ["up", "down"]]);
  t.like(proxy.status().announcements[0], { status: "withdrawn" });
  await server.answer(true);
  await nth(publicProxy.log, 2, isAnnounced);
  t.deepEqual(changes(), ["up", "down", "up"]);
});

test("a server that accepts and does not speak TLS is up for a tcp check, and down for a tls one", async (t) => {
  const mute = await plainServer((socket) => socket.resume());
  t.teardown(() => mute.close());
  const publicProxy = await startPublic(t, certificates);
  const { log, proxy } = await startPrivate(
    t,
    certificates,
    [publicProxy.mesh],
    [
      { names: ["a.internal-server.local"], address: mute.address, healthCheck: fast },
      {
        names: ["b.internal-server.local"],
        address: mute.address,
        healthCheck: { ...fast, type: "tls", timeoutMs: 200 },
      },
    ],
  );
  await log.line(isUp);
  t.like((await log.line(isDown)).fields, { name: "b.internal-server.local", why: "no TLS handshake within 200 ms" });
  await announced(publicProxy, "a.internal-server.local");
  t.deepEqual(
    proxy.status().targets?.map(({ addresses }) => addresses[0]!.state),
    ["up", "down"],
  );
});

test("an address that is down gets no new clients while another is up, and gets them again when it is back", async (t) => {
  const [steady, shaky] = [await echo(t), await doorServer(t)];
  const pair = await startPair(t, certificates, [
    { addresses: [shaky.address, steady.address], healthCheck: fast, balance: "round-robin" },
  ]);
  const { log, proxy } = pair.private;
  await nth(log, 2, isUp);
  shaky.shut();
  const down = await log.line(isDown);
  t.like(down.fields, { target: `127.0.0.1:${shaky.port}`, addressesUp: 1 });
  t.like(proxy.status().announcements[0], { status: "accepted" });
  const ended = log.lines.filter(isConnection).length;
  for (let i = 1; i <= 10; i++) {
    (await served(pair.public.clientPort)).destroy();
    const { fields } = await nth(log, ended + i, isConnection);
    t.is(fields.target, `127.0.0.1:${steady.port}`);
  }
  await shaky.open();
  await nth(log, 3, isUp);
  const clients = await Promise.all(Array.from({ length: 10 }, () => served(pair.public.clientPort)));
  t.true(proxy.status().targets![0]!.addresses[0]!.live! > 0);
  t.deepEqual(proxy.status().refused, {});
  t.is(pair.public.log.lines.filter(isAnnounced).length, 1, "the name was never withdrawn");
  for (const client of clients) client.destroy();
});

test("a black-holed address costs clients a share of the connect deadline, and nothing once it was checked", async (t) => {
  const [server, deaf] = [await echo(t), await deafListener(t)];
  const addresses = [address(`127.0.0.1:${deaf.kind === "tcp" ? deaf.port : 0}`), server.address];
  const target = { addresses, balance: "round-robin" } as const;
  const unchecked = await startPair(t, certificates, [target]);
  const clients = await Promise.all(Array.from({ length: 8 }, () => served(unchecked.public.clientPort)));
  for (const client of clients) client.destroy();
  t.deepEqual(unchecked.private.proxy.status().refused, {});
  t.deepEqual(
    unchecked.private.proxy.status().targets![0]!.addresses.map(({ state }) => state),
    ["unchecked", "unchecked"],
  );

  const checked = await startPair(t, certificates, [{ ...target, healthCheck: { ...fast, fall: 1 } }]);
  await checked.private.log.line(isDown);
  for (let i = 0; i < 8; i++) {
    const started = performance.now();
    (await served(checked.public.clientPort)).destroy();
    const ms = performance.now() - started;
    t.true(ms < 1350, `${ms} ms, as long as the black hole's share`);
  }
});

test("connections of each address are counted over all workers, and shared out evenly", async (t) => {
  const servers = [await echo(t), await echo(t)];
  const pair = await startPair(t, certificates, [{ addresses: servers.map((server) => server.address) }]);
  const clients: TLSSocket[] = [];
  for (let i = 0; i < 30; i++) clients.push(await served(pair.public.clientPort));
  const live = () => pair.private.proxy.status().targets![0]!.addresses.map((one) => one.live!);
  t.deepEqual(
    live(),
    servers.map(({ open }) => open),
  );
  t.true(Math.abs(live()[0]! - live()[1]!) <= 2, `shared out as ${live()}`);
  for (const client of clients) client.destroy();
  await nth(pair.private.log, 30, isConnection);
  t.deepEqual(live(), [0, 0]);
});

test("with source-ip a client stays with its address", async (t) => {
  const servers = [await echo(t), await echo(t), await echo(t)];
  const pair = await startPair(t, certificates, [
    { addresses: servers.map((server) => server.address), balance: "source-ip" },
  ]);
  const used = new Map<string, Set<unknown>>();
  for (let i = 0; i < 24; i++) {
    const localAddress = `127.0.0.${2 + (i % 8)}`;
    (await served(pair.public.clientPort, { localAddress })).destroy();
    const { fields } = await nth(pair.private.log, i + 1, isConnection);
    used.set(localAddress, (used.get(localAddress) ?? new Set()).add(fields.target));
  }
  for (const [client, targets] of used) t.is(targets.size, 1, client);
});

test("a reload that changes a health check keeps the name announced until the new one has come to a result", async (t) => {
  const server = await checkedServer(certificates);
  t.teardown(() => server.close());
  const check: HealthCheckSettings = { type: "tls", intervalMs: 60_000, timeoutMs: 8000, rise: 1, fall: 1 };
  const publicProxy = await startPublic(t, certificates);
  const { log, proxy, settings } = await startPrivate(
    t,
    certificates,
    [publicProxy.mesh],
    [{ address: server.address, healthCheck: check }],
  );
  await server.answer(true);
  await announced(publicProxy, serverName);
  proxy.reconfigure({ ...settings, targets: [{ ...settings.targets[0]!, healthCheck: { ...check, rise: 2 } }] });
  const names = () => publicProxy.proxy.status().announcements.map(({ status }) => status);
  t.deepEqual(names(), ["accepted"]);
  await server.answer(true);
  await nth(publicProxy.log, 2, isAnnounced);
  t.true(names().includes("accepted"));
  t.is(log.lines.filter(isDown).length, 0);
});

// Real processes.

async function startPublicProcess(t: ExecutionContext, hold: number) {
  const [tls, rendezvous, mesh] = await freePorts(3);
  const proxy = runProxyProcess(t, "public", {
    name: "public-proxy",
    tls: { listen: `127.0.0.1:${tls}` },
    rendezvous: { listen: `127.0.0.1:${rendezvous}`, startupHoldMs: hold },
    mesh: { listen: `127.0.0.1:${mesh}`, ...certificates.files("public-proxy-1") },
    grants: [{ identity: "private-proxy-1", names: [serverName] }],
    transport: engineUnderTest(),
  });
  await ready(proxy);
  return { proxy, tls: tls!, mesh: mesh! };
}

function startPrivateProcess(t: ExecutionContext, name: string, mesh: number, target: object): ProxyProcess {
  return runProxyProcess(t, "private", {
    name,
    mesh: { publics: [`127.0.0.1:${mesh}`], ...certificates.files("private-proxy-1") },
    targets: [{ names: [serverName], ...target }],
    transport: engineUnderTest(),
  });
}

test("two private proxies, the target of one flapping: no client fails", async (t) => {
  const [steady, shaky] = [await echo(t), await doorServer(t)];
  const { proxy, tls, mesh } = await startPublicProcess(t, 0);
  startPrivateProcess(t, "steady", mesh, { address: `127.0.0.1:${steady.port}`, healthCheck: fast });
  const flapping = startPrivateProcess(t, "flapping", mesh, { address: `127.0.0.1:${shaky.port}`, healthCheck: fast });
  const announcedBy = (name: string) => (line: Record<string, unknown>) =>
    line.msg === "name announced" && line.privateProxy === name;
  await Promise.all([proxy.line(announcedBy("steady")), proxy.line(announcedBy("flapping"))]);

  /** Clients come all the time, until it has happened and once more. */
  async function meanwhile(happened: Promise<unknown>): Promise<void> {
    let over = false;
    const ended = happened.finally(() => {
      over = true;
    });
    for (let isLast = false; !isLast; ) {
      isLast = over;
      for (const client of await Promise.all(Array.from({ length: 4 }, () => served(tls)))) client.destroy();
    }
    await ended;
  }

  for (let flap = 1; flap <= 3; flap++) {
    shaky.shut();
    await meanwhile(processLine(flapping, flap, (msg) => msg.startsWith("target is down")));
    await shaky.open();
    await meanwhile(processLine(flapping, flap + 1, (msg) => msg === "target is up"));
  }
  t.false(proxy.lines.some(({ reason }) => reason !== undefined && reason !== "client_left"));
});

/** The `count`th line of a process whose message fits. */
function processLine(process: ProxyProcess, count: number, fits: (msg: string) => boolean) {
  return process.line((line) => {
    if (!fits(String(line.msg))) return false;
    return process.lines.filter(({ msg }) => fits(String(msg))).length >= count;
  });
}

test("two addresses, one of them black-holed: no client fails", async (t) => {
  const [server, deaf] = [await echo(t), await deafListener(t)];
  const { proxy, tls, mesh } = await startPublicProcess(t, 3000);
  const privateProxy = startPrivateProcess(t, "private", mesh, {
    addresses: [`127.0.0.1:${deaf.kind === "tcp" ? deaf.port : 0}`, `127.0.0.1:${server.port}`],
    healthCheck: fast,
  });
  await proxy.line(({ msg }) => msg === "name announced");
  await privateProxy.line(({ msg }) => String(msg).startsWith("target is down"));
  const clients = await Promise.all(Array.from({ length: 50 }, () => served(tls)));
  t.is(clients.length, 50);
  for (const client of clients) client.destroy();
});
