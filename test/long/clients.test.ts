import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import test from "ava";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { ask, tlsClient } from "../harness/clients.js";
import { echoServer, jsonRpcServer } from "../harness/internal-server.js";
import { has } from "../harness/needs.js";
import { startPair } from "../harness/pair.js";
import { accepting, freePorts } from "../harness/processes.js";

const run = promisify(execFile);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

test("Chromium, with its post-quantum hello, is served", async (t) => {
  if (!has(t, "chromium")) return;
  const server = await jsonRpcServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }]);
  const profile = mkdtempSync(join(tmpdir(), "proxy-chromium-"));
  t.teardown(() => rmSync(profile, { recursive: true, force: true, maxRetries: 5 }));
  const { stdout } = await run(
    "chromium",
    [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--ignore-certificate-errors",
      `--user-data-dir=${profile}`,
      `--host-resolver-rules=MAP ${serverName} 127.0.0.1`,
      "--dump-dom",
      `https://${serverName}:${pair.public.clientPort}/jsonrpc`,
    ],
    { timeout: 60_000 },
  );
  t.regex(stdout, /\{"message":"success"\}/);
  const line = await pair.public.log.line(({ message }) => message === "connection");
  t.is(line.fields.serverName, serverName);
});

test("behind a real HAProxy with send-proxy-v2, the client's address arrives and its checks are quiet", async (t) => {
  if (!has(t, "haproxy")) return;
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }], {
    // So few that no limit of descriptors is warned of.
    public: { tls: { acceptProxyProtocol: ["127.0.0.1"] }, limits: { connections: 100 } },
  });
  const [port] = await freePorts(1);
  const dir = mkdtempSync(join(tmpdir(), "proxy-haproxy-"));
  const config = join(dir, "haproxy.cfg");
  writeFileSync(
    config,
    `defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:${port}
  default_backend b
backend b
  server s 127.0.0.1:${pair.public.clientPort} send-proxy-v2 check check-send-proxy inter 200ms
`,
  );
  const haproxy = spawn("haproxy", ["-db", "-f", config], { stdio: "ignore" });
  const exited = once(haproxy, "exit");
  t.teardown(async () => {
    haproxy.kill("SIGKILL");
    await exited;
    rmSync(dir, { recursive: true });
  });
  // HAProxy resets its checks, so that they may be gone before they are read; none may be taken for a fault.
  await accepting(port!);
  const client = await tlsClient(port!, certificates);
  t.is(await ask(client, "through HAProxy"), "through HAProxy");
  const from = `127.0.0.1:${client.localPort}`;
  client.end();
  await pair.public.log.line(({ message, fields }) => message === "connection" && fields.client === from);
  t.deepEqual(
    pair.public.log.lines.filter(({ level }) => level === "warn" || level === "error"),
    [],
  );
});
