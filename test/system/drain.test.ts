import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { alertErrors, ask, tlsClient, tlsError } from "../harness/clients.js";
import { echoServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { startPair, startPrivate } from "../harness/pair.js";
import { freePorts, ready, runCommand, runProxyProcess } from "../harness/processes.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

function directory(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), "proxy-drain-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

/** Both proxies as processes, with an admin socket each. */
async function startProcesses(t: ExecutionContext) {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const dir = directory(t);
  const [port, meshPort] = await freePorts(2);
  const sockets = { public: join(dir, "public.sock"), private: join(dir, "private.sock") };
  const publicSettings = {
    name: "public-proxy-1",
    tls: { listen: `127.0.0.1:${port}` },
    rendezvous: { listen: "127.0.0.1:0" },
    mesh: { listen: `127.0.0.1:${meshPort}`, ...certificates.files("public-proxy-1") },
    grants: [{ identity: "private-proxy-1", names: [serverName] }],
    admin: { socket: sockets.public },
  };
  const publicProxy = runProxyProcess(t, "public", publicSettings);
  await ready(publicProxy);
  const privateProxy = runProxyProcess(t, "private", {
    name: "private-proxy-1",
    mesh: { publics: [`127.0.0.1:${meshPort}`], ...certificates.files("private-proxy-1") },
    targets: [{ names: [serverName], address: `127.0.0.1:${server.port}` }],
    admin: { socket: sockets.private },
  });
  await privateProxy.line(({ msg }) => msg === "name announced");
  return { publicProxy, privateProxy, publicSettings, port: port!, sockets };
}

for (const role of ["public", "private"] as const) {
  test(`proxy drain lets a live connection of a ${role} proxy finish, and then it exits with status 0`, async (t) => {
    const processes = await startProcesses(t);
    const drained = processes[`${role}Proxy`];
    const client = await tlsClient(processes.port, certificates);
    t.teardown(() => void client.destroy());
    t.is(await ask(client, "before"), "before");

    const outcome = await runCommand(["drain", "--admin", processes.sockets[role]]);
    t.like(outcome, { status: 0, error: "" });
    t.is(outcome.out, "draining: 1 connection has up to 30000 ms to finish, then it exits\n");
    await drained.line(({ msg }) => msg === `${role} proxy is stopping`);
    const status = await runCommand(["status", "--admin", processes.sockets[role]]);
    t.regex(status.out, /proxy, draining,/);
    const again = await runCommand(["drain", "--admin", processes.sockets[role]]);
    t.is(again.status, 0);
    t.is(await ask(client, "after"), "after");
    client.end();
    t.is(await drained.exited, 0);
  });
}

test("a second SIGTERM ends a draining proxy at once", async (t) => {
  const { publicProxy, port } = await startProcesses(t);
  const client = await tlsClient(port, certificates);
  t.teardown(() => void client.destroy());
  publicProxy.kill("SIGTERM");
  await publicProxy.line(({ msg }) => msg === "public proxy is stopping");
  publicProxy.kill("SIGTERM");
  t.is(await publicProxy.exited, 0);
});

test("while the old public proxy drains, its private proxy serves clients at the new one", async (t) => {
  const { publicProxy, privateProxy, publicSettings, port } = await startProcesses(t);
  const old = await tlsClient(port, certificates);
  t.teardown(() => void old.destroy());
  t.is(await ask(old, "old"), "old");
  publicProxy.kill("SIGTERM");
  await privateProxy.line(({ msg }) => String(msg).includes("is about to stop"));
  await publicProxy.line(({ msg }) => msg === "public proxy is stopping");
  const next = runProxyProcess(t, "public", { ...publicSettings, admin: {} });
  await next.line(({ msg }) => msg === "name announced");
  const client = await tlsClient(port, certificates);
  t.is(await ask(client, "new"), "new");
  t.is(await ask(old, "still there"), "still there");
  client.destroy();
  old.end();
  t.is(await publicProxy.exited, 0);
  t.false(privateProxy.lines.some(({ reason }) => reason === "mesh_lost"));
});

test("a private proxy that leaves serves those who were offered to it, and nobody after that", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }], {
    public: { rendezvous: { startupHoldMs: 1 } },
    private: { shutdown: { graceMs: 20_000 } },
  });
  const live = await tlsClient(pair.public.clientPort, certificates);
  t.is(await ask(live, "live"), "live");
  const leaving = pair.public.log.line(({ message }) => message === "private proxy is leaving");
  const stopped = pair.private.proxy.stop();
  const [during] = await Promise.all([tlsClient(pair.public.clientPort, certificates).catch(() => undefined), leaving]);
  t.is(await tlsError(pair.public.clientPort, certificates), alertErrors.unrecognizedName);
  t.is(await ask(live, "still there"), "still there");
  live.end();
  during?.end();
  await stopped;
});

test("clients of a single private proxy that is restarted wait for it, and none is refused", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }], {
    public: { rendezvous: { startupHoldMs: 8000 } },
    private: { pool: { minIdle: 2, maxIdle: 4 } },
  });
  let stopping = false;
  let served = 0;
  const clients = Array.from({ length: 8 }, async () => {
    while (!stopping) {
      const client = await tlsClient(pair.public.clientPort, certificates);
      t.is(await ask(client, "hello"), "hello");
      client.destroy();
      served++;
    }
  });
  await pair.private.proxy.stop();
  const next = await startPrivate(t, certificates, [pair.public.mesh], [{ address: server.address }]);
  await next.log.line(({ message }) => message === "name announced");
  stopping = true;
  await Promise.all(clients);
  t.true(served > 0);
});
