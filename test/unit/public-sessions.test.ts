import { X509Certificate } from "node:crypto";
import { mock } from "node:test";
import test, { type ExecutionContext } from "ava";
import type { ReasonCode } from "../../src/base/reasons.js";
import type { MeshLinkEvents } from "../../src/mesh/link.js";
import type { FromPrivate, FromPublic } from "../../src/mesh/messages.js";
import { createSessions, type Session } from "../../src/public/sessions.js";
import { type TestCertificates, testCertificates } from "../harness/certificates.js";
import { handClock } from "./announcing.js";

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const der = (name: string) => new X509Certificate(certificates.pem(name).cert).raw;

/** Sessions without a network: what was told is kept as text. */
function table(t: ExecutionContext) {
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  t.teardown(() => mock.timers.reset());
  const told: string[] = [];
  const attached: Session[] = [];
  const now = handClock();
  const sessions = createSessions({
    nodeInstance: "cc".repeat(16),
    keepalive: { intervalMs: 5000, timeoutMs: 4000 },
    now,
    events: {
      attached(session) {
        attached.push(session);
        told.push(`attached ${session.identity.text}`);
      },
      received: (_session, message) => told.push(`received ${message.type}`),
      suspected: ({ hello }) => told.push(`suspected ${hello.instance}`),
      answers: ({ hello }) => told.push(`answers ${hello.instance}`),
      detached: (_session, why) => told.push(`detached: ${why}`),
      refused: (reason: ReasonCode, _peer, detail) => told.push(`${reason}: ${detail}`),
    },
  });
  t.teardown(() => sessions.close());

  function connect(name = "private-proxy-1") {
    const sent: FromPublic[] = [];
    const link = {
      peer: "192.0.2.1:50000",
      backlog: 0,
      destroyed: undefined as string | undefined,
      send: (message: FromPublic) => void sent.push(message),
      end() {},
      destroy(why = "") {
        link.destroyed = why;
        events.closed("destroyed");
      },
    };
    const accepted = sessions.accept(link, der(name));
    if ("refused" in accepted) throw new Error(accepted.detail);
    const events: MeshLinkEvents<FromPrivate> = accepted;
    return { link, sent, events };
  }
  return { sessions, told, attached, now, connect };
}

const helloOf = (instance: string, protocolVersion = 1) => ({
  protocolVersion,
  name: "test",
  instance,
  softwareVersion: "0",
});
const hello = (instance: string, protocolVersion = 1): FromPrivate => ({
  type: "hello",
  hello: helloOf(instance, protocolVersion),
});

test.serial("a session begins with its hello and ends with its link", (t) => {
  const { sessions, told, connect, attached } = table(t);
  const { events } = connect();
  t.is(sessions.size, 0);
  events.received(hello("i1"));
  t.is(sessions.get(attached[0]!.id), attached[0]);
  events.received({ type: "leaving" });
  events.closed("gone");
  t.is(sessions.size, 0);
  t.deepEqual(told, ["attached dns:private-proxy-1", "received leaving", "detached: gone"]);
});

test.serial("a certificate without an identity for a private proxy is refused", (t) => {
  const { sessions } = table(t);
  const link = { peer: "", backlog: 0, send() {}, end() {}, destroy() {} };
  t.like(sessions.accept(link, der("public-proxy-1")), { refused: "mesh_identity_refused" });
  t.like(sessions.accept(link, new Uint8Array(5)), { refused: "mesh_identity_refused" });
});

test.serial("the same instance of the same identity replaces its own ghost at once, and only once", (t) => {
  const { sessions, told, connect, attached } = table(t);
  const ghost = connect();
  ghost.events.received(hello("i1"));
  const again = connect();
  again.events.received(hello("i1"));
  t.is(sessions.size, 1);
  t.is(sessions.get(attached[1]!.id), attached[1]);
  t.not(ghost.link.destroyed, undefined);
  // What the ghost still says is nobody's.
  ghost.events.received({ type: "leaving" });
  ghost.events.closed("late");
  t.is(sessions.size, 1);
  t.deepEqual(told, [
    "attached dns:private-proxy-1",
    "detached: the same instance attached again",
    "attached dns:private-proxy-1",
  ]);
});

test.serial("two instances of one identity, and one instance id of two identities, stand side by side", (t) => {
  const { sessions, connect } = table(t);
  connect().events.received(hello("i1"));
  connect().events.received(hello("i2"));
  connect("client").events.received(hello("i1"));
  t.is(sessions.size, 3);
});

test.serial("what breaks the protocol ends the link, with the reason", (t) => {
  const cases: [FromPrivate[], RegExp][] = [
    [[{ type: "leaving" }], /first message is not a hello/],
    [[{ type: "pong", nonce: 1n }], /first message is not a hello/],
    [[hello("i1"), hello("i1")], /second hello/],
    [[hello("i1", 2)], /version 2 is not spoken here, 1 is/],
  ];
  for (const [messages, why] of cases) {
    const { sessions, told, connect } = table(t);
    const { events, link } = connect();
    for (const message of messages) events.received(message);
    t.regex(link.destroyed ?? "", why);
    t.true(told.some((line) => line.startsWith("mesh_protocol_violated")));
    t.is(sessions.size, 0);
    sessions.close();
    mock.timers.reset();
  }
});

test.serial("a link that says nothing is ended after five seconds, one that has said hello is not", (t) => {
  const { told, connect } = table(t);
  const quiet = connect();
  const spoken = connect();
  spoken.events.received(hello("i1"));
  mock.timers.tick(4999);
  t.is(quiet.link.destroyed, undefined);
  mock.timers.tick(1);
  t.is(quiet.link.destroyed, "no hello within 5000 ms");
  t.is(spoken.link.destroyed, undefined);
  t.is(told.filter((line) => line.startsWith("detached")).length, 0);
});

test.serial("the round trip is that of the last ping, answered with its own number", (t) => {
  const { connect, attached, now } = table(t);
  const { events, sent } = connect();
  events.received(hello("i1"));
  mock.timers.tick(5000);
  const ping = sent.at(-1);
  if (ping?.type !== "ping") return t.fail();
  now.pass(30);
  events.received({ type: "pong", nonce: ping.nonce + 1n });
  t.is(attached[0]?.rttMs, undefined);
  events.received({ type: "pong", nonce: ping.nonce });
  t.is(attached[0]?.rttMs, 30);
  return t.is(sent.length, 1);
});

test.serial("a peer that reads nothing for three pings is ended, one that was slow for a while is not", (t) => {
  const { sessions, told, connect } = table(t);
  const [stuck, slow] = [connect(), connect()];
  stuck.events.received(hello("i1"));
  slow.events.received(hello("i2"));
  stuck.link.backlog = slow.link.backlog = 300;
  mock.timers.tick(10_000);
  slow.link.backlog = 0;
  mock.timers.tick(5000);
  t.is(stuck.link.destroyed, "the peer does not read what it is sent");
  t.is(slow.link.destroyed, undefined);
  t.is(sessions.size, 1);
  t.true(told.includes("mesh_protocol_violated: the peer does not read what it is sent"));
});

test.serial("a suspect is asked at once, and clears itself only by an answer to that ping or a later one", (t) => {
  const { sessions, told, connect, attached } = table(t);
  const { events, sent } = connect();
  events.received(hello("i1"));
  mock.timers.tick(5000);
  const nonceOf = (message: FromPublic | undefined) => (message?.type === "ping" ? message.nonce : -1n);
  const before = nonceOf(sent.at(-1));
  told.length = 0;
  sessions.suspect(attached[0]!.id);
  t.is(sent.length, 2);
  const asked = nonceOf(sent.at(-1));
  // What it answers to a ping from before says nothing: it may have hung since.
  events.received({ type: "pong", nonce: before });
  t.deepEqual(told, ["suspected i1"]);
  events.received({ type: "pong", nonce: asked });
  t.deepEqual(told, ["suspected i1", "answers i1"]);
  events.received({ type: "pong", nonce: asked });
  t.is(told.length, 2);

  sessions.suspect(attached[0]!.id);
  mock.timers.tick(5000);
  events.received({ type: "pong", nonce: nonceOf(sent.at(-1)) });
  t.deepEqual(told.slice(2), ["suspected i1", "answers i1"]);
});

test.serial("whoever suspects again is told, and the peer is not asked twice; one that is gone is no suspect", (t) => {
  const { sessions, told, connect, attached } = table(t);
  const { events, sent } = connect();
  events.received(hello("i1"));
  sessions.suspect(attached[0]!.id);
  sessions.suspect(attached[0]!.id);
  t.is(sent.length, 1);
  t.is(told.filter((line) => line === "suspected i1").length, 2);
  events.closed("gone");
  told.length = 0;
  sessions.suspect(attached[0]!.id);
  t.deepEqual(told, []);
});

test.serial(
  "a process that says that it is attached here already is refused a second session, and keeps its first",
  (t) => {
    const { sessions, connect, attached } = table(t);
    const instance = "i1";
    connect().events.received(hello(instance));
    const second = connect();
    const again = {
      ...hello(instance),
      hello: { ...helloOf(instance), attachedTo: ["dd".repeat(16), "cc".repeat(16)] },
    };
    second.events.received(again as FromPrivate);
    t.is(second.link.destroyed, "this process is attached here already, at another address");
    t.is(sessions.size, 1);
    t.is(sessions.get(attached[0]!.id), attached[0]);
    // Another identity does not speak for this one; and where the session is gone in truth, it is welcome.
    connect("client").events.received(again as FromPrivate);
    t.is(sessions.size, 2);
  },
);

test.serial("a process whose session here is gone is welcome, though it believes that it is attached", (t) => {
  const { sessions, connect } = table(t);
  connect().events.received({
    type: "hello",
    hello: { ...helloOf("i1"), attachedTo: ["cc".repeat(16)] },
  });
  t.is(sessions.size, 1);
});

test.serial("all are checked at once after a suspension, and those who do not answer in time are ended", async (t) => {
  const { sessions, told, connect } = table(t);
  const [alive, silent] = [connect(), connect()];
  alive.events.received(hello("i1"));
  silent.events.received(hello("i2"));
  sessions.check();
  const ping = alive.sent.at(-1)!;
  t.is(ping.type, "ping");
  t.is(silent.sent.at(-1)?.type, "ping");
  if (ping.type === "ping") alive.events.received({ type: "pong", nonce: ping.nonce });
  mock.timers.tick(3999);
  t.is(sessions.size, 2);
  mock.timers.tick(1);
  await new Promise((resolve) => setImmediate(resolve));
  t.is(sessions.size, 1);
  t.not(silent.link.destroyed, undefined);
  t.is(alive.link.destroyed, undefined);
  t.is(told.at(-1), "detached: no answer within 4000 ms");
  sessions.check();
  sessions.check();
  t.is(alive.sent.filter(({ type }) => type === "ping").length, 2);
});
