import { EventEmitter, once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import { meshSecureContext } from "../../src/mesh/client.js";
import type { FromPublic } from "../../src/mesh/messages.js";
import { type AttachmentOptions, createAttachment } from "../../src/private/attachment.js";
import { deafListener } from "../engine/deaf-listener.js";
import { type TestCertificates, testCertificates } from "../harness/certificates.js";
import { faultLink } from "../harness/fault-link.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { pemOf, type SeenServer, seenMeshServer } from "../harness/mesh.js";
import { until as waitUntil } from "../harness/until.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const welcome: FromPublic = {
  type: "welcome",
  welcome: {
    protocolVersion: 1,
    nodeName: "public",
    sessionId: "ab".repeat(16),
    rendezvousEndpoints: [":1"],
    unansweredOffers: 1,
    maxNames: 1,
    attemptTimeoutMs: 0,
    softwareVersion: "0",
  },
};

/** An attachment, what it tells, and a way to wait for that. */
function attaching(t: ExecutionContext, port: number, options: Partial<AttachmentOptions> = {}) {
  const told: string[] = [];
  const emitter = new EventEmitter();
  const tell = (text: string) => {
    told.push(text);
    emitter.emit("told");
  };
  const attachment = createAttachment({
    host: "localhost",
    ip: "127.0.0.1",
    port,
    serverName: "localhost",
    context: meshSecureContext(pemOf(certificates, "private-proxy-1")),
    hello: () => ({ protocolVersion: 1, name: "test", instance: "00".repeat(16), softwareVersion: "0" }),
    reconnect: { minMs: 1, maxMs: 10 },
    keepalive: { intervalMs: 5000, timeoutMs: 5000 },
    events: {
      attached: () => tell("attached"),
      received: (message) => tell(`received ${message.type}`),
      draining: () => tell("draining"),
      detached: (_welcome, why, how) => tell(`detached${how === undefined ? "" : ` (${how})`}: ${why}`),
      failed: (why) => tell(`failed: ${why}`),
    },
    ...options,
  });
  t.teardown(() => attachment.stop());
  /** Waits until so many have been told that begin so. */
  async function until(beginning: string, count = 1): Promise<void> {
    while (told.filter((text) => text.startsWith(beginning)).length < count) await once(emitter, "told");
  }
  return { attachment, told, until };
}

/** Takes the next stream of the server through hello and welcome. */
async function welcomeNext(server: SeenServer) {
  const stream = await server.stream();
  if ((await stream.next()).type !== "hello") throw new Error("the first message is not a hello");
  stream.link.send(welcome);
  return stream;
}

test("it attaches, is attached again after every loss, and stops for good", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { attachment, told, until } = attaching(t, server.port);
  t.is(attachment.state.state, "connecting");
  for (let i = 1; i <= 3; i++) {
    const stream = await welcomeNext(server);
    await until("attached", i);
    t.like(attachment.state, { state: "attached", welcome: { nodeName: "public" } });
    attachment.send({ type: "withdraw", announcementId: i });
    t.deepEqual(await stream.next(), { type: "withdraw", announcementId: i });
    stream.link.destroy();
    await until("detached", i);
  }
  await welcomeNext(server);
  await until("attached", 4);
  await attachment.stop();
  t.is(attachment.state.state, "stopped");
  t.is(told.filter((text) => text.startsWith("detached")).length, 4);
  attachment.send({ type: "leaving" });
});

test("pings are answered, and what comes before the welcome is not heeded", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { told, until } = attaching(t, server.port);
  const stream = await server.stream();
  await stream.next();
  stream.link.send({ type: "drain" });
  stream.link.send({ type: "ping", nonce: 2n ** 63n });
  t.deepEqual(await stream.next(), { type: "pong", nonce: 2n ** 63n });
  stream.link.send(welcome);
  stream.link.send(welcome);
  stream.link.send({ type: "poolGrant", tokens: [], msLeft: 1 });
  await until("received poolGrant");
  t.deepEqual(told, ["attached", "received poolGrant"]);
});

test("when the public proxy drains, the session stays and another one is begun at once", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { attachment, told, until } = attaching(t, server.port, { reconnect: { minMs: 60_000, maxMs: 60_000 } });
  const old = await welcomeNext(server);
  await until("attached");
  old.link.send({ type: "drain" });
  const next = await welcomeNext(server);
  await until("attached", 2);
  t.is(attachment.state.state, "attached");
  t.is(attachment.draining.length, 1);
  old.link.send({ type: "cancelOffer", token: new Uint8Array(32) });
  await until("received cancelOffer");

  attachment.send({ type: "leaving" });
  t.deepEqual(await old.next(), { type: "leaving" });
  t.deepEqual(await next.next(), { type: "leaving" });
  old.link.end();
  await until("detached");
  t.deepEqual(attachment.draining, []);
  t.is(attachment.state.state, "attached");
  t.false(told.some((text) => text.startsWith("failed")));
});

test("stopping ends the session with a public proxy that drains, too", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { attachment, until } = attaching(t, server.port);
  const old = await welcomeNext(server);
  await until("attached");
  old.link.send({ type: "drain" });
  const next = await welcomeNext(server);
  await until("attached", 2);
  await attachment.stop();
  t.is(attachment.state.state, "stopped");
  await Promise.all([old.closed, next.closed]);
});

test("refused because its process is attached at another address, it stands by until it is woken", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { attachment, told, until } = attaching(t, server.port);
  const refused = await server.stream();
  await refused.next();
  const why = "attached already";
  refused.link.destroy(why, "duplicate");
  await waitUntil(() => attachment.state.state === "standby");
  t.like(attachment.state, { state: "standby" });
  t.deepEqual(told, []);
  attachment.wake();
  const stream = await welcomeNext(server);
  await until("attached");
  stream.link.destroy("the same instance attached again", "duplicate");
  await until("detached (duplicate)");
  await waitUntil(() => attachment.state.state === "standby");
  attachment.check();
  await welcomeNext(server);
  await until("attached", 2);
});

test("woken while it is being refused, it tries again without delay", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { attachment, until } = attaching(t, server.port);
  const refused = await server.stream();
  await refused.next();
  attachment.wake();
  refused.link.destroy("attached already", "duplicate");
  await until("failed");
  await welcomeNext(server);
  await until("attached");
  t.is(attachment.state.state, "attached");
});

test("a check that is answered changes nothing, and one that is not ends the session", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const link = await faultLink(t, server.port);
  const { attachment, told, until } = attaching(t, link.port, { keepalive: { intervalMs: 60_000, timeoutMs: 1000 } });
  const stream = await welcomeNext(server);
  await until("attached");
  attachment.check();
  // What is answered after the check was answered after it, too.
  stream.link.send({ type: "ping", nonce: 1n });
  t.like(await stream.next(), { type: "pong" });
  t.is(attachment.state.state, "attached");
  link.pause("both");
  attachment.check();
  await until("detached: no answer within 1000 ms");
  t.is(told.filter((text) => text.startsWith("detached")).length, 1);
  link.resume();
  await welcomeNext(server);
  await until("attached", 2);
});

test("a public proxy that ends every session at once is not tried again at full speed", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const delays: number[] = [];
  const { attachment, until } = attaching(t, server.port, { reconnect: { minMs: 2, maxMs: 200 } });
  for (let i = 1; i <= 6; i++) {
    (await welcomeNext(server)).link.destroy();
    await until("failed", i);
    if (attachment.state.state === "waiting") delays.push(attachment.state.retryAt.getTime() - Date.now());
  }
  t.true(Math.max(...delays) > 4, String(delays));
});

test("told to reconnect no more, it stays attached and does not come back", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { attachment, told, until } = attaching(t, server.port);
  const stream = await welcomeNext(server);
  await until("attached");
  attachment.stopReconnecting();
  attachment.send({ type: "leaving" });
  t.deepEqual(await stream.next(), { type: "leaving" });
  stream.link.end();
  await until("detached");
  await new Promise((resolve) => setImmediate(resolve));
  t.is(attachment.state.state, "stopped");
  t.false(told.some((text) => text.startsWith("failed")));
});

// Stopped at any moment: that nothing is left is asserted after the tests.

test("stopped in its first moment, it has never begun", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { attachment, told } = attaching(t, server.port);
  await attachment.stop();
  t.deepEqual(told, []);
});

test("stopped while its connect goes unanswered, it ends at once", async (t) => {
  const deaf = await deafListener(t);
  const { attachment } = attaching(t, deaf.kind === "tcp" ? deaf.port : 0);
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
  const asked = performance.now();
  await attachment.stop();
  t.true(performance.now() - asked < 1000);
});

test("stopped during the handshake, it ends at once", async (t) => {
  const listener = createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  t.teardown(() => listener.close());
  const { attachment } = attaching(t, (listener.address() as AddressInfo).port);
  const [socket] = (await once(listener, "connection")) as [Socket];
  const closed = new Promise((resolve) => socket.on("error", () => {}).on("close", resolve));
  socket.resume();
  await attachment.stop();
  await closed;
  t.is(attachment.state.state, "stopped");
});

test("stopped before its welcome, it ends at once", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { attachment } = attaching(t, server.port);
  const stream = await server.stream();
  await stream.next();
  await attachment.stop();
  t.truthy(await stream.closed);
});

test("stopped while it waits for its next attempt, it makes none", async (t) => {
  const { attachment, told, until } = attaching(t, 1, { reconnect: { minMs: 60_000, maxMs: 60_000 } });
  await until("failed");
  await attachment.stop();
  t.is(attachment.state.state, "stopped");
  t.is(told.length, 1);
});

test("stopped twice, it has stopped", async (t) => {
  const server = await seenMeshServer(t, certificates);
  const { attachment, until } = attaching(t, server.port);
  await welcomeNext(server);
  await until("attached");
  await Promise.all([attachment.stop(), attachment.stop()]);
  t.is(attachment.state.state, "stopped");
});
