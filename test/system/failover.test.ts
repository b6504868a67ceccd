import { once } from "node:events";
import type { TLSSocket } from "node:tls";
import test, { type ExecutionContext } from "ava";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { alertErrors, ask, clientHello, tcpClient, tlsClient, tlsError } from "../harness/clients.js";
import { echoServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { freePorts, type ProxyProcess, ready, runProxyProcess } from "../harness/processes.js";

// Real processes, ended with SIGKILL: what the kernel does with their sockets is part of what is tested.

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

interface Ports {
  readonly tls: number;
  readonly rendezvous: number;
  readonly mesh: number;
}

async function publicPorts(): Promise<Ports> {
  const [tls, rendezvous, mesh] = await freePorts(3);
  return { tls: tls!, rendezvous: rendezvous!, mesh: mesh! };
}

function startPublicAt(t: ExecutionContext, ports: Ports, changes: object = {}): ProxyProcess {
  return runProxyProcess(t, "public", {
    name: "public-proxy",
    tls: { listen: `127.0.0.1:${ports.tls}` },
    rendezvous: { listen: `127.0.0.1:${ports.rendezvous}`, startupHoldMs: 3000 },
    mesh: { listen: `127.0.0.1:${ports.mesh}`, ...certificates.files("public-proxy-1") },
    grants: [{ identity: "private-proxy-1", names: [serverName, "*.internal-server.local"] }],
    ...changes,
  });
}

function startPrivateFor(
  t: ExecutionContext,
  publics: readonly Ports[],
  target: { port: number; names?: string[] },
  changes: object = {},
): ProxyProcess {
  return runProxyProcess(t, "private", {
    name: "private-proxy-1",
    mesh: { publics: publics.map(({ mesh }) => `127.0.0.1:${mesh}`), ...certificates.files("private-proxy-1") },
    targets: [{ names: target.names ?? [serverName], address: `127.0.0.1:${target.port}` }],
    ...changes,
  });
}

const isAnnounced = (name: string) => (line: Record<string, unknown>) =>
  line.msg === "name announced" && line.name === name;

async function served(port: number, text: string): Promise<TLSSocket> {
  const client = await tlsClient(port, certificates);
  const answer = await ask(client, text);
  if (answer !== text) throw new Error(`asked ${text}, got ${answer}`);
  return client;
}

test("two public proxies: both serve; one is killed, the other goes on; it comes back and serves within 5 s, unattended", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const [first, second] = [await publicPorts(), await publicPorts()];
  const killed = startPublicAt(t, first);
  const other = startPublicAt(t, second);
  await Promise.all([ready(killed), ready(other)]);
  const privateProxy = startPrivateFor(t, [first, second], server);
  await Promise.all([killed.line(isAnnounced(serverName)), other.line(isAnnounced(serverName))]);
  (await served(first.tls, "by the first")).destroy();
  const live = await served(second.tls, "by the second");

  killed.kill("SIGKILL");
  await killed.exited;
  t.is(await ask(live, "still there"), "still there");
  (await served(second.tls, "a new one")).destroy();
  await privateProxy.line((line) => line.reason === "mesh_unreachable");

  const restarted = performance.now();
  const again = startPublicAt(t, first);
  await ready(again);
  // Held from the moment it listens: the private proxy attaches by itself.
  (await served(first.tls, "by the first again")).destroy();
  t.true(performance.now() - restarted < 5000);
  live.destroy();
});

test("a private proxy is killed: its name is gone, clients that wait get an alert, live streams of others are not touched", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const ports = await publicPorts();
  const publicProxy = startPublicAt(t, ports, {
    rendezvous: { listen: `127.0.0.1:${ports.rendezvous}`, startupHoldMs: 500 },
  });
  await ready(publicProxy);
  const victim = startPrivateFor(t, [ports], server);
  const survivor = startPrivateFor(
    t,
    [ports],
    { port: server.port, names: ["other.internal-server.local"] },
    { name: "private-proxy-2" },
  );
  await Promise.all([
    publicProxy.line(isAnnounced(serverName)),
    publicProxy.line(isAnnounced("other.internal-server.local")),
  ]);
  const live = await tlsClient(ports.tls, certificates, { servername: "other.internal-server.local" });
  t.is(await ask(live, "before"), "before");

  // Stopped, it still holds its stream but answers nothing, so that this client waits when the kill comes.
  victim.kill("SIGSTOP");
  const waiting = tlsError(ports.tls, certificates);
  await new Promise((resolve) => setImmediate(resolve));
  victim.kill("SIGKILL");
  const killedAt = performance.now();
  const alert = await waiting;
  t.true(alert === alertErrors.unrecognizedName || alert === alertErrors.internalError, alert);
  t.true(performance.now() - killedAt < 5000);
  await publicProxy.line((line) => line.msg === "private proxy detached");
  t.is(await tlsError(ports.tls, certificates), alertErrors.unrecognizedName);
  t.is(await ask(live, "after"), "after");
  live.destroy();
  t.is(survivor.child.exitCode, null);
});

test("two private proxies of one identity, one with a dead target: every client is served, both stay attached", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const [dead] = await freePorts(1);
  const ports = await publicPorts();
  const publicProxy = startPublicAt(t, ports);
  await ready(publicProxy);
  startPrivateFor(t, [ports], server, { name: "good" });
  startPrivateFor(t, [ports], { port: dead! }, { name: "bad" });
  await publicProxy.line((line) => isAnnounced(serverName)(line) && line.privateProxy === "good");
  await publicProxy.line((line) => isAnnounced(serverName)(line) && line.privateProxy === "bad");
  const clients = await Promise.all(Array.from({ length: 50 }, (_, at) => served(ports.tls, `client ${at}`)));
  t.is(clients.length, 50);
  for (const client of clients) client.destroy();
  t.false(publicProxy.lines.some((line) => line.msg === "private proxy detached"));
});

test("one of two private proxies is killed while 100 clients wait: none of them fails", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const ports = await publicPorts();
  const publicProxy = startPublicAt(t, ports);
  await ready(publicProxy);
  startPrivateFor(t, [ports], server, { name: "good" });
  const victim = startPrivateFor(t, [ports], server, { name: "victim" });
  await publicProxy.line((line) => isAnnounced(serverName)(line) && line.privateProxy === "good");
  await publicProxy.line((line) => isAnnounced(serverName)(line) && line.privateProxy === "victim");
  victim.kill("SIGSTOP");
  const clients = Array.from({ length: 100 }, (_, at) => served(ports.tls, `client ${at}`));
  // Once some are served, the others are those that were offered to the stopped one.
  await Promise.any(clients);
  victim.kill("SIGKILL");
  for (const client of await Promise.all(clients)) client.destroy();
  t.pass();
});

test("a public proxy killed and restarted while clients come all the time: those that come after the restart are held, and served", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const ports = await publicPorts();
  const publicProxy = startPublicAt(t, ports);
  await ready(publicProxy);
  startPrivateFor(t, [ports], server);
  await publicProxy.line(isAnnounced(serverName));
  publicProxy.kill("SIGKILL");
  await publicProxy.exited;
  const again = startPublicAt(t, ports);
  await ready(again);
  const clients = await Promise.all(Array.from({ length: 20 }, (_, at) => served(ports.tls, `client ${at}`)));
  for (const client of clients) client.destroy();
  t.pass();
});

test("SIGTERM: no new clients, live connections finish, exit status 0; a second signal does not wait", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const ports = await publicPorts();
  const publicProxy = startPublicAt(t, ports);
  await ready(publicProxy);
  const privateProxy = startPrivateFor(t, [ports], server);
  await publicProxy.line(isAnnounced(serverName));
  const live = await served(ports.tls, "before");
  publicProxy.kill("SIGTERM");
  await publicProxy.line((line) => line.msg === "public proxy is stopping");
  await privateProxy.line((line) => line.msg === "the public proxy is about to stop");
  t.is(await ask(live, "while it stops"), "while it stops");
  const refused = await tcpClient(ports.tls).then(
    (socket) => {
      socket.destroy();
      return "accepted";
    },
    (error: NodeJS.ErrnoException) => error.code,
  );
  t.is(refused, "ECONNREFUSED");
  live.end();
  t.is(await publicProxy.exited, 0);

  const held = startPublicAt(t, ports);
  await ready(held);
  await held.line(isAnnounced(serverName));
  const stuck = await served(ports.tls, "stuck");
  held.kill("SIGTERM");
  await held.line((line) => line.msg === "public proxy is stopping");
  held.kill("SIGTERM");
  t.is(await held.exited, 0);
  stuck.destroy();

  privateProxy.kill("SIGINT");
  t.is(await privateProxy.exited, 0);
});

test("a private proxy that is asked to stop takes no new clients, and its live connections finish", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const ports = await publicPorts();
  const publicProxy = startPublicAt(t, ports, {
    rendezvous: { listen: `127.0.0.1:${ports.rendezvous}`, startupHoldMs: 0 },
  });
  await ready(publicProxy);
  const privateProxy = startPrivateFor(t, [ports], server);
  await publicProxy.line(isAnnounced(serverName));
  const live = await served(ports.tls, "before");
  privateProxy.kill("SIGTERM");
  await publicProxy.line((line) => line.msg === "private proxy is leaving");
  t.is(await tlsError(ports.tls, certificates), alertErrors.unrecognizedName);
  t.is(await ask(live, "while it stops"), "while it stops");
  const closed = once(live, "close");
  live.end();
  await closed;
  t.is(await privateProxy.exited, 0);
});

test("the private proxy opens no TCP port", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const ports = await publicPorts();
  const publicProxy = startPublicAt(t, ports);
  await ready(publicProxy);
  const privateProxy = startPrivateFor(t, [ports], server);
  await publicProxy.line(isAnnounced(serverName));
  const { readFileSync, readdirSync, readlinkSync } = await import("node:fs");
  const inodes = new Set(
    readdirSync(`/proc/${privateProxy.pid}/fd`).flatMap(
      (fd) => /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${privateProxy.pid}/fd/${fd}`))?.[1] ?? [],
    ),
  );
  const listening = ["tcp", "tcp6"].flatMap((family) =>
    readFileSync(`/proc/${privateProxy.pid}/net/${family}`, "utf8")
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => columns[3] === "0A" && inodes.has(columns[9]!)),
  );
  t.deepEqual(listening, []);
  t.true(inodes.size > 0);
});

test("a hello that was cut off by a killed client leaves nothing behind", async (t) => {
  const ports = await publicPorts();
  const publicProxy = startPublicAt(t, ports, { log: { level: "debug" } });
  await ready(publicProxy);
  const client = await tcpClient(ports.tls);
  client.write((await clientHello(serverName)).subarray(0, 50));
  // Whoever comes later is accepted later: once this one was refused, the first has been accepted.
  const later = await tcpClient(ports.tls);
  later.write("GET / HTTP/1.1\r\n\r\n");
  await publicProxy.line(({ reason }) => reason === "not_tls_http");
  later.destroy();
  client.resetAndDestroy();
  await publicProxy.line(({ reason }) => reason === "client_left" || reason === "peer_reset");
  t.pass();
});
