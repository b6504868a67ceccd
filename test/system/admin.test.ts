import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { requestAdmin, samplesOf } from "../harness/admin-requests.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { alertErrors, ask, clientHello, tcpClient, tlsClient, tlsError } from "../harness/clients.js";
import { echoServer, plainServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { type Pair, startPair, startPrivate, startPublic } from "../harness/pair.js";
import { freePorts } from "../harness/processes.js";
import { address } from "../harness/settings.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const onLoopback = { admin: { listen: [address("127.0.0.1:0")] } };

function onSocket(t: ExecutionContext): { readonly admin: { readonly socket: string } } {
  const directory = mkdtempSync(join(tmpdir(), "proxy-admin-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return { admin: { socket: join(directory, "admin.sock") } };
}

const adminOf = (running: Pair["public"] | Pair["private"]) => running.proxy.adminAddresses[0]!;
const statusOf = async (running: Pair["public"] | Pair["private"], path: string) =>
  (await requestAdmin(adminOf(running), path)).status;

test("a private proxy is ready while it is attached, and no longer when its public proxy is gone", async (t) => {
  const [meshPort] = await freePorts(1);
  const mesh = `127.0.0.1:${meshPort}`;
  const target = { address: address("127.0.0.1:9") };
  const running = await startPrivate(t, certificates, [mesh], [target], onSocket(t));
  t.is(await statusOf(running, "/healthz"), 200);
  t.is(await statusOf(running, "/readyz"), 503);

  const publicProxy = await startPublic(t, certificates, { mesh: { listen: [address(mesh)] } });
  await running.log.line(({ message }) => message === "attached");
  t.is(await statusOf(running, "/readyz"), 200);

  await publicProxy.proxy.stop();
  await running.log.line(({ fields }) => fields.reason === "mesh_unreachable");
  t.is(await statusOf(running, "/readyz"), 503);
  t.is(await statusOf(running, "/healthz"), 200);
});

test("a public proxy that drains is not ready, but still tells what it does", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }], {
    public: { ...onLoopback, shutdown: { graceMs: 10_000 } },
  });
  const client = await tlsClient(pair.public.clientPort, certificates);
  t.is(await ask(client, "live"), "live");
  t.is(await statusOf(pair.public, "/readyz"), 200);

  const stopped = pair.public.proxy.stop();
  t.is(await statusOf(pair.public, "/readyz"), 503);
  t.is(await statusOf(pair.public, "/healthz"), 200);
  const readiness = JSON.parse((await requestAdmin(adminOf(pair.public), "/readyz")).text);
  t.deepEqual(readiness, { ready: false, state: "draining" });
  const status = JSON.parse((await requestAdmin(adminOf(pair.public), "/status")).text);
  t.like(status, { ready: false, state: "draining", connections: { opened: 1, closed: 0, live: 1 } });
  client.destroy();
  await stopped;
});

test("/status begins with what is promised, in this order, for both roles", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }], {
    public: onLoopback,
    private: onSocket(t),
  });
  await pair.private.log.line(({ message }) => message === "name announced");
  t.is(
    await tlsError(pair.public.clientPort, certificates, { servername: "other.example.com" }),
    alertErrors.unrecognizedName,
  );
  const [ofPublic, ofPrivate] = await Promise.all(
    [pair.public, pair.private].map((running) => requestAdmin(adminOf(running), "/status")),
  );
  const identity = '"identity":"dns:private-proxy-1"';
  const beginning = (role: string, ...[attachment, announcement, counts]: string[]) =>
    new RegExp(
      `^{"version":1,"role":"${role}","name":"${role}-proxy-1","ready":true,"attachments":\\[{[^\\]]*${attachment}[^\\]]*}\\],` +
        `"announcements":\\[{[^\\]]*${announcement}.*}\\],"connections":${counts},`,
    );
  t.regex(
    ofPublic!.text,
    beginning("public", identity, identity, '{"opened":1,"closed":1,"live":0},"refused":{"server_name_not_granted":1}'),
  );
  t.regex(
    ofPrivate!.text,
    beginning(
      "private",
      '"state":"attached"',
      `"name":"${serverName}"`,
      '{"opened":0,"closed":0,"live":0},"refused":{}',
    ),
  );
  t.is(ofPublic!.headers["content-type"], "application/json; charset=utf-8");
});

test("/metrics tells exactly what was opened, closed, moved and refused", async (t) => {
  const server = await plainServer((socket) => socket.pipe(socket));
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }], {
    public: onLoopback,
    private: onSocket(t),
  });
  const scraped = async (running: Pair["public"] | Pair["private"]) =>
    samplesOf((await requestAdmin(adminOf(running), "/metrics")).text);

  // The server sends everything back as it is: what goes up comes down.
  const hello = await clientHello(serverName);
  const first = await tcpClient(pair.public.clientPort);
  const echoed = await ask(first, Buffer.concat([hello, Buffer.alloc(100_000, "x")]));
  t.true(echoed.endsWith("x"));
  const second = await tcpClient(pair.public.clientPort);
  await ask(second, hello);
  for (const servername of ["a.example.com", "b.example.com"]) {
    await tlsError(pair.public.clientPort, certificates, { servername });
  }
  const bytes = 2 * hello.length + 100_000;
  const names = (samples: ReadonlyMap<string, number>, wanted: Record<string, number>) =>
    t.like(Object.fromEntries(samples), wanted);

  names(await scraped(pair.public), {
    proxy_connections_opened_total: 4,
    proxy_connections_closed_total: 2,
    proxy_connections_live: 2,
    'proxy_refused_total{reason="server_name_not_granted"}': 2,
    proxy_attachments: 1,
    proxy_announcements: 1,
    proxy_pooled_dialbacks: 0,
  });
  const ended = (running: Pair["public"] | Pair["private"]) => {
    const { connections } = running.proxy.status();
    return connections.live === 0;
  };
  for (const client of [first, second]) client.destroy();
  await pair.public.log.line(() => ended(pair.public));
  await pair.private.log.line(() => ended(pair.private));
  names(await scraped(pair.public), {
    proxy_connections_opened_total: 4,
    proxy_connections_closed_total: 4,
    proxy_connections_live: 0,
    'proxy_bytes_total{direction="up"}': bytes,
    'proxy_bytes_total{direction="down"}': bytes,
  });
  names(await scraped(pair.private), {
    proxy_connections_opened_total: 2,
    proxy_connections_closed_total: 2,
    proxy_connections_live: 0,
    'proxy_bytes_total{direction="up"}': bytes,
    'proxy_bytes_total{direction="down"}': bytes,
    proxy_attachments: 1,
    proxy_announcements: 1,
    proxy_pooled_dialbacks: 0,
  });
  const { headers } = await requestAdmin(adminOf(pair.public), "/metrics");
  t.regex(headers["content-type"]!, /^text\/plain; version=0\.0\.4/);
});
