import { chmodSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { findPredecessor } from "../../../src/public/predecessor.js";
import { bindListening } from "../../../src/transport/epoll/bind.js";
import { type Libc, loadLibc } from "../../../src/transport/epoll/libc.js";
import { serverName, type TestCertificates, testCertificates } from "../../harness/certificates.js";
import { ask, tlsClient } from "../../harness/clients.js";
import { echoServer } from "../../harness/internal-server.js";
import { assertNothingLeft } from "../../harness/leaks.js";
import { passOver } from "../../harness/needs.js";
import { freePorts, type PassedToProcess, ready, runProxyProcess } from "../../harness/processes.js";
import { address, engineUnderTest } from "../../harness/settings.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

function libcHere(): Libc | undefined {
  try {
    return loadLibc();
  } catch {
    return undefined;
  }
}

/** Settings for a public proxy at fixed ports, and a private one that serves there. */
async function scene(t: ExecutionContext) {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const directory = mkdtempSync(join(tmpdir(), "take-over-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const ports = await freePorts(3);
  const [port, rendezvousPort, meshPort] = [ports[0]!, ports[1]!, ports[2]!];
  const state = join(directory, "state");
  const settings = {
    name: "public-proxy-1",
    tls: { listen: `127.0.0.1:${port}` },
    rendezvous: { listen: `127.0.0.1:${rendezvousPort}`, startupHoldMs: 10_000 },
    mesh: { listen: `127.0.0.1:${meshPort}`, ...certificates.files("public-proxy-1") },
    grants: [{ identity: "private-proxy-1", names: [serverName] }],
    state: { directory: state },
    transport: engineUnderTest(),
  };
  const startPrivate = async () => {
    const started = runProxyProcess(t, "private", {
      name: "private-proxy-1",
      mesh: { publics: [`127.0.0.1:${meshPort}`], ...certificates.files("private-proxy-1") },
      targets: [{ names: [serverName], address: `127.0.0.1:${server.port}` }],
    });
    await started.line(({ msg }) => msg === "name announced");
    return started;
  };
  return { settings, startPrivate, state, port, rendezvousPort, meshPort };
}

test("a process with another engine, or with fewer or more workers, takes over all the same", async (t) => {
  if (libcHere() === undefined) return passOver(t, "koffi on Linux");
  const { settings, startPrivate, state, port } = await scene(t);
  let running = runProxyProcess(t, "public", settings);
  await ready(running);
  t.is(statSync(state).mode & 0o777, 0o700);
  t.is(statSync(join(state, "take-over.sock")).mode & 0o777, 0o600);
  await startPrivate();
  const engines = [
    { engine: "epoll", workers: 3 },
    { engine: "epoll", workers: 1 },
    { engine: "node" },
    { engine: "epoll", workers: 2 },
  ];
  for (const transport of engines) {
    const old = running;
    const live = await tlsClient(port, certificates);
    t.is(await ask(live, "before"), "before");
    running = runProxyProcess(t, "public", { ...settings, transport });
    await running.line(({ msg }) => msg === "taken over");
    t.is(await ask(live, "after"), "after");
    live.end();
    t.is(await old.exited, 0);
    t.true(old.lines.some(({ msg }) => msg === "the other process has taken over"));
    const client = await tlsClient(port, certificates);
    t.is(await ask(client, "new"), "new");
    client.destroy();
  }
});

test("a process that asks and does not take over changes nothing", async (t) => {
  if (libcHere() === undefined) return passOver(t, "koffi on Linux");
  const { settings, startPrivate, state, port } = await scene(t);
  const running = runProxyProcess(t, "public", settings);
  await ready(running);
  await startPrivate();
  const path = join(state, "take-over.sock");
  const asking = await findPredecessor(path, "public-proxy-1");
  t.is(asking?.pid, running.pid);
  t.deepEqual([...new Set(asking?.listeners.map(({ use }) => use))].toSorted(), ["mesh", "rendezvous", "tls"]);
  await t.throwsAsync(findPredecessor(path, "public-proxy-1"), {
    message: /is handing over to another process already/,
  });
  for (const { descriptor } of asking?.listeners ?? []) loadLibc().close(descriptor);
  asking?.abandon();
  await running.line(({ msg }) => msg === "the other process did not take over: this one goes on");
  const client = await tlsClient(port, certificates);
  t.is(await ask(client, "still"), "still");
  client.destroy();
});

test("another proxy's sockets are not taken, and the one that asks says why it does not start", async (t) => {
  if (libcHere() === undefined) return passOver(t, "koffi on Linux");
  const { settings, state } = await scene(t);
  await ready(runProxyProcess(t, "public", settings));
  const other = runProxyProcess(t, "public", { ...settings, name: "other" });
  t.is(await other.exited, 1);
  t.regex(other.printed, /it is called public-proxy-1, not other/);

  chmodSync(state, 0o755);
  const open = runProxyProcess(t, "public", settings);
  t.is(await open.exited, 78);
  t.regex(open.printed, /state\.directory .*: others may look into it \(mode 0755\), expected 0700/);
});

/** Sockets as a service manager opens them. They are closed when the test ends. */
async function opened(t: ExecutionContext, libc: Libc, ports: Readonly<Record<string, number>>) {
  const passed: [string, number][] = [];
  for (const [name, port] of Object.entries(ports)) {
    const { descriptor } = await bindListening(libc, address(`127.0.0.1:${port}`), { reusePort: false });
    t.teardown(() => void libc.close(descriptor));
    passed.push([name, descriptor]);
  }
  return passed satisfies PassedToProcess;
}

test("with sockets of the service manager, clients that come while nothing runs wait, and are served", async (t) => {
  const libc = libcHere();
  if (libc === undefined) return passOver(t, "koffi on Linux");
  const { settings, startPrivate, port, rendezvousPort, meshPort } = await scene(t);
  const { state: _, ...stateless } = settings;
  const passed = await opened(t, libc, { tls: port, rendezvous: rendezvousPort, mesh: meshPort });
  const first = runProxyProcess(t, "public", stateless, { passed });
  await ready(first);
  await startPrivate();
  const client = await tlsClient(port, certificates);
  t.is(await ask(client, "one"), "one");
  client.destroy();
  first.kill("SIGTERM");
  t.is(await first.exited, 0);
  const waiting = tlsClient(port, certificates);
  await ready(runProxyProcess(t, "public", stateless, { passed }));
  const served = await waiting;
  t.is(await ask(served, "two"), "two");
  served.destroy();
});

test("sockets that do not fit the settings are one clear error each, and nothing is started", async (t) => {
  const libc = libcHere();
  if (libc === undefined) return passOver(t, "koffi on Linux");
  const { settings, port, rendezvousPort } = await scene(t);
  const [tls, other] = await opened(t, libc, { tls: port, other: rendezvousPort });
  const cases: [PassedToProcess, object, RegExp][] = [
    [
      [
        ["tls", tls![1]],
        ["tls", other![1]],
      ],
      {},
      /^proxy run public: LISTEN_FDS: descriptor 4 listens on 127\.0\.0\.1:\d+, which is not in tls\.listen\n$/,
    ],
    [
      [["tls", other![1]]],
      {},
      /LISTEN_FDS: tls\.listen 127\.0\.0\.1:\d+ is not among the sockets passed for it \(127\.0\.0\.1:\d+\)\n$/,
    ],
    [
      [["proxy.socket", tls![1]]],
      {},
      /LISTEN_FDNAMES calls descriptor 3 "proxy\.socket", expected one of tls, rendezvous, mesh, admin/,
    ],
  ];
  for (const [passed, changes, problem] of cases) {
    const started = runProxyProcess(t, "public", { ...settings, ...changes, state: {} }, { passed });
    t.is(await started.exited, 78);
    t.regex(started.printed, problem);
  }
});
