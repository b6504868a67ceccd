import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect as http2Connect } from "node:http2";
import { type AddressInfo, createServer, connect as netConnect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type TLSSocket, connect as tlsConnect } from "node:tls";
import test, { type ExecutionContext } from "ava";
import { createHelloReader } from "../../src/tls-sni/index.js";
import { deafListener } from "../engine/deaf-listener.js";
import { type TestCertificates, testCertificates } from "../harness/certificates.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { seenAttach, seenMeshServer, someHello } from "../harness/mesh.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

/** gRPC begins with a backoff of a second, give or take a fifth. */
const pastBackoffMs = 2000;

const drain = { type: "drain" } as const;

/** Unlike `once`, this does not mind an error before. */
function gone(closing: { once(event: "close", listener: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => closing.once("close", resolve));
}

test("messages go both ways in order, and each side learns how the other ended", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const client = seenAttach(t, certificates, server.port);
  client.link.send(someHello);
  for (let id = 0; id < 100; id++) client.link.send({ type: "withdraw", announcementId: id });
  const stream = await server.stream();
  t.deepEqual(await stream.next(), someHello);
  for (let id = 0; id < 100; id++) t.deepEqual(await stream.next(), { type: "withdraw", announcementId: id });
  stream.link.send(drain);
  t.deepEqual(await client.next(), drain);
  stream.link.end();
  t.is(await client.closed, "the public proxy ended the stream");
  t.truthy(await stream.closed);
  t.notThrows(() => stream.link.send(drain));
});

test("a peer that broke the protocol is told how", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const client = seenAttach(t, certificates, server.port);
  client.link.send({ type: "offerReply", token: new Uint8Array(5), reason: "target_full" });
  t.is(await client.closed, "FAILED_PRECONDITION: offer_reply.token has 5 bytes, expected 32");
  t.is(await (await server.stream()).closed, "offer_reply.token has 5 bytes, expected 32");
  t.deepEqual(server.refusals, ["mesh_protocol_violated offer_reply.token has 5 bytes, expected 32"]);
});

test("a message over the size limit ends the stream of whoever sent it, and no other", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const other = seenAttach(t, certificates, server.port);
  other.link.send(someHello);
  const otherStream = await server.stream();
  const client = seenAttach(t, certificates, server.port);
  const names = Array.from({ length: 40_000 }, () => "x".repeat(250));
  client.link.send({ type: "announce", announcementId: 1, names, alpn: [], weight: 1, priority: 0 });
  t.regex(await client.closed, /RESOURCE_EXHAUSTED/);
  otherStream.link.send(drain);
  t.deepEqual(await other.next(), drain);
});

test("an announcement of 20,000 names as long as names can be is not too large", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const client = seenAttach(t, certificates, server.port);
  const names = Array.from({ length: 20_000 }, (_, i) => `${i}.`.padEnd(253, "x"));
  client.link.send({ type: "announce", announcementId: 1, names, alpn: [], weight: 1, priority: 0 });
  t.like(await (await server.stream()).next(), { announcementId: 1, names });
});

/** A client that speaks HTTP/2 itself: it can do what no honest client does. */
async function http2Client(t: ExecutionContext, port: number, initialWindowSize = 65_535) {
  const socket = tlsConnect({
    host: "127.0.0.1",
    port,
    servername: "localhost",
    ca: certificates.ca,
    ...certificates.pem("private-proxy-1"),
    ALPNProtocols: ["h2"],
  });
  await once(socket, "secureConnect");
  const session = http2Connect("https://localhost", {
    createConnection: () => socket as TLSSocket,
    settings: { initialWindowSize },
  });
  session.on("error", () => {});
  t.teardown(() => session.destroy());
  return session;
}

function openStream(session: ClientHttp2Session): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": "/rendezvous.v1.Mesh/Attach",
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => {});
  return stream;
}

test("a second stream on one connection is a link of its own", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const session = await http2Client(t, server.port);
  const one = openStream(session);
  const [first] = [await server.stream()];
  openStream(session);
  const second = await server.stream();
  one.close();
  t.truthy(await first.closed);
  second.link.send(drain);
  second.link.end();
  t.is(session.destroyed, false);
});

test("what a peer does not read is seen as a backlog, and ending the link ends its connection", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const session = await http2Client(t, server.port, 0);
  openStream(session);
  const stream = await server.stream();
  for (let i = 0; i < 1000; i++) stream.link.send(drain);
  t.true(stream.link.backlog > 900);
  stream.link.destroy("it does not read");
  t.is(await stream.closed, "it does not read");
  await gone(session);
});

test("a link whose peer does not read cannot hold up the end of the server", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const session = await http2Client(t, server.port, 0);
  openStream(session);
  const stream = await server.stream();
  for (let i = 0; i < 1000; i++) stream.link.send(drain);
  stream.link.end();
  await server.server.close();
  t.truthy(await stream.closed);
});

/** What stands between a port and its clients, and can fall silent: bytes and ends are taken, and nothing is passed on. */
async function networkTo(t: ExecutionContext, port: number): Promise<{ port: number; fallSilent(): void }> {
  const sockets: Socket[] = [];
  const middle = createServer((near) => {
    const far = netConnect(port, "127.0.0.1");
    for (const socket of [near, far]) sockets.push(socket.on("error", () => {}));
    near.pipe(far).pipe(near);
  });
  middle.listen(0, "127.0.0.1");
  await once(middle, "listening");
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    middle.close();
  });
  return {
    port: (middle.address() as AddressInfo).port,
    fallSilent() {
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
  };
}

// The server waited for the peer to close, too, and with it the end of the whole proxy.
test("a peer that has fallen silent cannot hold up the end of the server", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const network = await networkTo(t, server.port);
  const client = seenAttach(t, certificates, network.port);
  client.link.send(someHello);
  await (await server.stream()).next();
  network.fallSilent();
  const closing = performance.now();
  await server.server.close();
  t.true(performance.now() - closing < 10_000);
});

test("without an answer to keepalive the link is lost", async (t) => {
  const server = await seenMeshServer(t, certificates, { keepalive: { intervalMs: 100, timeoutMs: 100 } });
  const network = await networkTo(t, server.port);
  const client = seenAttach(t, certificates, network.port, {
    keepalive: { intervalMs: 100, timeoutMs: 100 },
  });
  client.link.send(someHello);
  const stream = await server.stream();
  await stream.next();
  network.fallSilent();
  const silentSince = performance.now();
  t.regex(await client.closed, /UNAVAILABLE/);
  t.is(await stream.closed, "the link was lost");
  t.true(performance.now() - silentSince < 3000);
});

test("a peer without a certificate, and one that does not speak HTTP/2, are refused once each", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const common = { host: "127.0.0.1", port: server.port, servername: "localhost", ca: certificates.ca };
  const without = tlsConnect({ ...common, ALPNProtocols: ["h2"] }).on("error", () => {});
  await gone(without);
  t.regex(await server.refusal(), /^mesh_handshake_failed ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE/);
  const old = tlsConnect({ ...common, ...certificates.pem("private-proxy-1") }).on("error", () => {});
  await gone(old);
  t.is(await server.refusal(), "mesh_handshake_failed the peer does not speak HTTP/2");
  t.is(server.refusals.length, 2);
});

test("a server whose certificate is for another host is not attached to", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const client = seenAttach(t, certificates, server.port, { serverName: "elsewhere.example" });
  t.regex(await client.closed, /elsewhere\.example|altnames/);
});

/** The server name of the ClientHello that an attachment sends. */
async function helloOf(t: ExecutionContext, serverName: string): Promise<string | undefined> {
  const listener = createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const client = seenAttach(t, certificates, (listener.address() as AddressInfo).port, { serverName });
  const [socket] = (await once(listener, "connection")) as [Socket];
  const reader = createHelloReader({ maxHelloBytes: 65_536 });
  for await (const chunk of socket) {
    const result = reader.push(chunk as Buffer);
    if (result.status === "more") continue;
    if (result.status === "reject") throw new Error(result.reason);
    client.link.destroy();
    socket.destroy();
    listener.close();
    return result.hello.serverName;
  }
  throw new Error("there was no hello");
}

test("the host is sent as server name, an IP address never is", async (t) => {
  t.is(await helloOf(t, "public.example.com"), "public.example.com");
  t.is(await helloOf(t, "127.0.0.1"), undefined);
  t.is(await helloOf(t, "::1"), undefined);
});

test("an attachment that is given up while its connect goes unanswered leaves no socket", async (t) => {
  const deaf = await deafListener(t);
  if (deaf.kind !== "tcp") return t.fail();
  const client = seenAttach(t, certificates, deaf.port);
  // The connect is under way by then.
  await new Promise((resolve) => setImmediate(resolve));
  client.link.destroy("enough");
  t.is(await client.closed, "enough");
  return t.pass("that the socket is gone is asserted after the tests");
});

test("an attachment that is given up during the handshake leaves no socket", async (t) => {
  const listener = createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const client = seenAttach(t, certificates, (listener.address() as AddressInfo).port);
  const [socket] = (await once(listener, "connection")) as [Socket];
  socket.on("error", () => {});
  socket.resume();
  client.link.destroy();
  await gone(socket);
  listener.close();
  t.pass();
});

test("a peer that never finishes its handshake is given up", async (t) => {
  const listener = createServer((socket) => socket.on("error", () => {}).resume());
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const client = seenAttach(t, certificates, (listener.address() as AddressInfo).port, { handshakeTimeoutMs: 50 });
  t.regex(await client.closed, /no TLS handshake within 50 ms/);
  listener.close();
});

// A second after a failure gRPC dialled once more, for a client that was closed: a socket that nobody closed, for each
// attempt that had failed.
test("an attachment that failed is not dialled anew behind its back", async (t) => {
  let dialled = 0;
  const listener = createServer((socket) => {
    dialled++;
    socket.on("error", () => {}).destroy();
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  t.teardown(() => listener.close());
  const client = seenAttach(t, certificates, (listener.address() as AddressInfo).port);
  await client.closed;
  await pause(pastBackoffMs);
  t.is(dialled, 1);
});

test.serial("the environment's http_proxy does not take the mesh", async (t) => {
  const keys = ["http_proxy", "grpc_proxy", "https_proxy"];
  const before = keys.map((key) => process.env[key]);
  for (const key of keys) process.env[key] = "http://127.0.0.1:1";
  t.teardown(() => {
    for (const [i, key] of keys.entries()) {
      if (before[i] === undefined) delete process.env[key];
      else process.env[key] = before[i];
    }
  });
  const server = await seenMeshServer(t, certificates);
  const client = seenAttach(t, certificates, server.port);
  client.link.send(someHello);
  t.deepEqual(await (await server.stream()).next(), someHello);
});

test("a mesh on a unix socket serves, also when a handshake was left unfinished there", async (t) => {
  const path = join(tmpdir(), `mesh-${process.pid}.sock`);
  const server = await seenMeshServer(t, certificates, { listen: [{ kind: "unix", path }] });
  t.is(server.server.addresses[0], `unix:${path}`);
  const idle = netConnect(path).on("error", () => {});
  await once(idle, "connect");
  const socket = tlsConnect({
    path,
    servername: "localhost",
    ca: certificates.ca,
    ...certificates.pem("private-proxy-1"),
    ALPNProtocols: ["h2"],
  });
  await once(socket, "secureConnect");
  const session = http2Connect("https://localhost", { createConnection: () => socket });
  session.on("error", () => {});
  openStream(session);
  await server.stream();
  await server.server.close();
  await Promise.all([idle.closed || gone(idle), session.closed || gone(session)]);
  t.pass();
});

const healthPath = "/grpc.health.v1.Health/Check";

test("health checking answers SERVING, and NOT_SERVING once that is said", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const session = await http2Client(t, server.port);
  async function check(): Promise<number | undefined> {
    const stream = session.request({
      ":method": "POST",
      ":path": healthPath,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const service = Buffer.from("rendezvous.v1.Mesh");
    const request = Buffer.concat([Buffer.from([0x0a, service.length]), service]);
    const frame = Buffer.alloc(5);
    frame.writeUInt32BE(request.length, 1);
    stream.end(Buffer.concat([frame, request]));
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    // Frame header, then field 1: 1 is SERVING, 2 is NOT_SERVING.
    return Buffer.concat(chunks)[6];
  }
  t.is(await check(), 1);
  server.server.setServing(false);
  t.is(await check(), 2);
  server.server.setServing(true);
  t.is(await check(), 1);
});
