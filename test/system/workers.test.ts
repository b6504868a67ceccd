import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import test, { type ExecutionContext } from "ava";
import { encodePreface } from "../../src/rendezvous/preface.js";
import { createToken, tokenWorker } from "../../src/rendezvous/token.js";
import { chooseEngine } from "../../src/transport/choose-engine.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { ask, clientHello, tcpClient, tlsClient, untilClosed } from "../harness/clients.js";
import { echoServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { passOver } from "../harness/needs.js";
import { announced, type RunningPublic, startPair, startPublic } from "../harness/pair.js";
import { scriptedPrivate } from "../harness/scripted-private.js";

// Data planes in several threads: what they pass to each other, and what they count together.

assertNothingLeft(test);

let certificates: TestCertificates;
let engine: Awaited<ReturnType<typeof chooseEngine>>;
test.before(async () => {
  certificates = await testCertificates();
  engine = await chooseEngine("auto");
});
test.after.always(() => certificates.remove());

const transport = (workers: number) => ({ transport: { engine: "epoll" as const, workers } });

function epollWorks(t: ExecutionContext): boolean {
  if (engine.engine === "epoll") return true;
  passOver(t, `the epoll engine (${engine.why})`);
  return false;
}

const liveByWorker = (running: RunningPublic) => running.proxy.status().workers.map(({ live }) => live);

test("with several workers everybody is served, wherever a client and its dial-back come to", async (t) => {
  if (!epollWorks(t)) return;
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }], {
    public: transport(3),
    private: transport(2),
  });
  const clients = await Promise.all(Array.from({ length: 120 }, () => tlsClient(pair.public.clientPort, certificates)));
  const texts = clients.map((_, i) => `client ${i}`);
  t.deepEqual(await Promise.all(clients.map((client, i) => ask(client, texts[i]!))), texts);
  const status = pair.public.proxy.status();
  t.is(status.connections.live, 120);
  t.true(liveByWorker(pair.public).every((live) => live > 0));
  t.is(
    liveByWorker(pair.public).reduce((sum, live) => sum + live),
    120,
  );
  const privateLive = pair.private.proxy.status().workers.map(({ live }) => live);
  t.true(Math.max(...privateLive) - Math.min(...privateLive) <= 20, `dealt out as ${privateLive}`);
  t.deepEqual(status.refused, {});
  for (const client of clients) client.destroy();
});

test("what a dial-back sends right behind its preface is not lost on the way to another worker", async (t) => {
  if (!epollWorks(t)) return;
  const running = await startPublic(t, certificates, transport(4));
  const attached = await scriptedPrivate(t, certificates, running, "private-proxy-1");
  attached.announce(1, [serverName]);
  await announced(running, serverName);
  const hello = await clientHello(serverName);
  const holders = new Set<number>();
  for (let i = 0; i < 24; i++) {
    const client = await tcpClient(running.clientPort);
    client.write(hello);
    const { token } = await attached.offer();
    holders.add(tokenWorker(token));
    const dialBack = await tcpClient(running.rendezvousPort);
    const answer = randomBytes(100);
    const verdictTaken = Buffer.from([1]);
    dialBack.end(Buffer.concat([encodePreface({ kind: "claim", token }), verdictTaken, answer]));
    client.once("end", () => client.end());
    t.deepEqual(await untilClosed(client), answer);
    dialBack.destroy();
  }
  t.true(holders.size > 1);
  t.deepEqual(running.proxy.status().refused, {});
});

test("a token is unknown wherever its first byte points, and an address that guesses is turned away by all workers", async (t) => {
  if (!epollWorks(t)) return;
  const running = await startPublic(t, certificates, transport(2));
  for (let i = 0; i < 60; i++) {
    const dialBack = await tcpClient(running.rendezvousPort);
    dialBack.write(encodePreface({ kind: "claim", token: createToken(i % 3) }));
    t.is((await untilClosed(dialBack)).length, 0);
  }
  const { refused } = running.proxy.status();
  t.is((refused.token_unknown ?? 0) + (refused.rendezvous_rate_limited ?? 0), 60);
  t.true((refused.rendezvous_rate_limited ?? 0) > 20, JSON.stringify(refused));
});

test("clients that all come to one worker are spread over the others, unread", async (t) => {
  if (!epollWorks(t)) return;
  const dir = mkdtempSync(join(tmpdir(), "proxy-workers-"));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "clients.sock");
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  // Only the first worker listens on a unix socket.
  const pair = await startPair(t, certificates, [{ address: server.address }], {
    public: { ...transport(2), tls: { listen: [{ kind: "unix", path }] } },
  });
  const clients: TLSSocket[] = [];
  for (let i = 0; i < 300; i++) {
    clients.push(await tlsClient(0, certificates, { path, host: undefined, port: undefined } as object));
  }
  const [first, second] = liveByWorker(pair.public);
  t.is(first! + second!, 300);
  t.true(first! - second! <= 65 || first! <= 1.26 * second!, `${first} and ${second}`);
  t.is(await ask(clients.at(-1)!, "passed on"), "passed on");
  for (const client of clients) client.destroy();
});

test("limits count the connections of all workers together", async (t) => {
  if (!epollWorks(t)) return;
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }], {
    public: { ...transport(4), limits: { connections: 20 } },
  });
  const clients: TLSSocket[] = [];
  for (let i = 0; i < 20; i++) clients.push(await tlsClient(pair.public.clientPort, certificates));
  for (let i = 0; i < 8; i++) {
    await t.throwsAsync(tlsClient(pair.public.clientPort, certificates));
  }
  t.deepEqual(pair.public.proxy.status().refused, { connections_full: 8 });
  clients.pop()!.destroy();
  await pair.public.log.line(({ message }) => message === "connection");
  clients.push(await tlsClient(pair.public.clientPort, certificates));
  for (const client of clients) client.destroy();
});

test("the status and the first line of the log say which engine runs, and why", async (t) => {
  if (!epollWorks(t)) return;
  const epoll = await startPublic(t, certificates, transport(2));
  t.is(epoll.proxy.status().engine, "epoll");
  t.deepEqual(epoll.proxy.status().workers, [
    { worker: 0, state: "running", restarts: 0, live: 0 },
    { worker: 1, state: "running", restarts: 0, live: 0 },
  ]);
  const ready = await epoll.log.line(({ message }) => message === "public proxy is ready");
  t.like(ready.fields, { engine: "epoll", workers: 2 });
  t.is(typeof ready.fields.why, "string");
  const node = await startPublic(t, certificates, { transport: { engine: "node" } });
  t.deepEqual([node.proxy.status().engine, node.proxy.status().workers], ["node", []]);
});

test("a second proxy on the same address is refused, although several workers share it", async (t) => {
  if (!epollWorks(t)) return;
  const first = await startPublic(t, certificates, transport(2));
  const listen = [{ kind: "tcp", host: "127.0.0.1", port: first.clientPort }] as const;
  await t.throwsAsync(startPublic(t, certificates, { ...transport(2), tls: { listen } }), { code: "address_in_use" });
  const client = await tcpClient(first.clientPort);
  client.destroy();
  await once(client, "close");
});
