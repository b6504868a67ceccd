import { join } from "node:path";
import test from "ava";
import { deadlineIn } from "../../src/base/deadline.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { deafListener } from "./deaf-listener.js";
import { engineUnderTest } from "./engines.js";
import { hasIpv6, howLeft, listenOn, portOf, rawServer, readAll, socketDirectory, soon } from "./peers.js";
import { threadServer } from "./thread-server.js";

const transport = engineUnderTest();
assertNothingLeft(test);

test("a connection that was made knows its addresses and carries bytes both ways", async (t) => {
  const server = await rawServer(t);
  const endpoint = await transport.connect(server.address, soon()).connected;
  t.teardown(() => endpoint.destroy());
  const raw = await server.next();
  t.deepEqual(endpoint.local, { family: "ipv4", address: "127.0.0.1", port: raw.remotePort as number });
  t.deepEqual(endpoint.remote, { family: "ipv4", address: "127.0.0.1", port: raw.localPort as number });
  raw.resume().once("data", (bytes) => raw.end(bytes));
  endpoint.write(Buffer.from("echo"));
  t.deepEqual(Buffer.from((await endpoint.read(soon())) ?? []).toString(), "echo");
  t.is(await endpoint.hangup, "ended");
});

test("a port where nobody listens refuses", async (t) => {
  const listener = await transport.listen({ address: { kind: "tcp", host: "127.0.0.1", port: 0 }, accept() {} });
  await listener.close();
  const address = { kind: "tcp", ip: "127.0.0.1", port: portOf(listener) } as const;
  await t.throwsAsync(transport.connect(address, soon()).connected, { code: "connect_refused" });
});

test("an address that cannot be reached is unreachable", async (t) => {
  const broadcast = { kind: "tcp", ip: "255.255.255.255", port: 9 } as const;
  await t.throwsAsync(transport.connect(broadcast, soon()).connected, { code: "connect_unreachable" });
});

test("a name is not looked up", async (t) => {
  const named = { kind: "tcp", ip: "localhost", port: 9 } as const;
  await t.throwsAsync(transport.connect(named, soon()).connected, { code: "internal" });
});

const onLinux = process.platform === "linux" ? test : test.skip;
onLinux("a listener with a full queue lets the deadline pass, and a connect under way can be cancelled", async (t) => {
  const address = await deafListener(t);
  const started = performance.now();
  await t.throwsAsync(transport.connect(address, deadlineIn(100, "connect_timeout")).connected, {
    code: "connect_timeout",
  });
  t.true(performance.now() - started >= 100, "not a moment too early");
  const connecting = transport.connect(address, soon());
  await new Promise(setImmediate);
  connecting.cancel();
  await t.throwsAsync(connecting.connected, { code: "closed_here" });
  connecting.cancel();
});

onLinux("bug: a unix listener with a full queue was unreachable, where only the deadline had passed", async (t) => {
  const address = await deafListener(t, join(socketDirectory(t), "s"));
  for (const ms of [5, 35, 100]) {
    const started = performance.now();
    await t.throwsAsync(transport.connect(address, deadlineIn(ms, "connect_timeout")).connected, {
      code: "connect_timeout",
    });
    t.true(performance.now() - started >= ms, "not a moment too early");
  }
  const connecting = transport.connect(address, soon());
  await new Promise((resolve) => setTimeout(resolve, 15));
  connecting.cancel();
  await t.throwsAsync(connecting.connected, { code: "closed_here" });
});

onLinux("a unix listener whose queue was full is connected to when there is room", async (t) => {
  const path = join(socketDirectory(t), "s");
  const server = await rawServer(t, path, 1);
  // This thread accepts nobody before it lets the loop go.
  const waiting = Array.from({ length: 8 }, () => transport.connect({ kind: "unix", path }, soon()).connected);
  const endpoints = await Promise.all(waiting);
  for (const endpoint of endpoints) endpoint.end(Buffer.from("x"));
  for (const _ of endpoints) t.is((await readAll(await server.next())).toString(), "x");
});

test("a deadline that has passed already fails at once", async (t) => {
  const address = { kind: "tcp", ip: "127.0.0.1", port: 9 } as const;
  await t.throwsAsync(transport.connect(address, deadlineIn(-1, "connect_timeout")).connected, {
    code: "connect_timeout",
  });
});

test("cancelling at once harms nobody who does not wait", async (t) => {
  const server = await rawServer(t);
  transport.connect(server.address, soon()).cancel();
  t.pass();
});

test("cancelling after the connect destroys the endpoint", async (t) => {
  const server = await rawServer(t);
  const connecting = transport.connect(server.address, soon());
  const endpoint = await connecting.connected;
  const left = howLeft(await server.next());
  connecting.cancel();
  t.is(await left, "ended");
  t.is(await endpoint.hangup, "destroyed");
});

test("bug: a FIN that had come before the connect was told of never showed in the hangup", async (t) => {
  const server = await threadServer(t, "answer");
  const connecting = transport.connect(server.address, soon());
  await new Promise(process.nextTick);
  // The loop of this thread looks again only when the server has said everything.
  server.waitUntilAnswered(1);
  const endpoint = await connecting.connected;
  t.teardown(() => endpoint.destroy());
  t.is(await endpoint.hangup, "ended");
  t.is(Buffer.from((await endpoint.read(soon())) ?? []).toString(), "answer");
  t.is(await endpoint.read(soon()), undefined);
});

test("unix sockets connect, half-close and refuse", async (t) => {
  const path = join(socketDirectory(t), "s");
  await t.throwsAsync(transport.connect({ kind: "unix", path }, soon()).connected, { code: "connect_refused" });
  const server = await rawServer(t, path);
  const endpoint = await transport.connect({ kind: "unix", path }, soon()).connected;
  t.teardown(() => endpoint.destroy());
  t.deepEqual([endpoint.remote, endpoint.local], [{ family: "unix" }, { family: "unix" }]);
  (await server.next()).end("bytes");
  t.is(await endpoint.hangup, "ended");
  t.is(Buffer.from((await endpoint.read(soon())) ?? []).toString(), "bytes");
  t.is(await endpoint.read(soon()), undefined);
  endpoint.reset();
});

const withIpv6 = hasIpv6 ? test : test.skip;
withIpv6("IPv6 connects (needs ::1 on this machine)", async (t) => {
  const listener = await listenOn(t, transport, (accepted) => accepted.end(Buffer.from("six")), {
    kind: "tcp",
    host: "::1",
    port: 0,
  });
  const endpoint = await transport.connect({ kind: "tcp", ip: "::1", port: portOf(listener) }, soon()).connected;
  t.teardown(() => endpoint.destroy());
  t.is(Buffer.from((await endpoint.read(soon())) ?? []).toString(), "six");
  t.like(endpoint.remote, { family: "ipv6", address: "::1" });
});
