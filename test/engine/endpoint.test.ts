import test from "ava";
import { deadlineIn } from "../../src/base/deadline.js";
import type { Endpoint } from "../../src/transport/endpoint.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { memoryAlive } from "../harness/memory.js";
import { engineUnderTest } from "./engines.js";
import { acceptedPair, hasIpv6, howLeft, listenOn, portOf, rawConnect, readAll, settled, soon } from "./peers.js";

const transport = engineUnderTest();
assertNothingLeft(test);

async function readText(endpoint: Endpoint): Promise<string> {
  let text = "";
  for (;;) {
    const bytes = await endpoint.read(soon());
    if (bytes === undefined) return text;
    text += Buffer.from(bytes).toString("latin1");
  }
}

test("an endpoint knows both addresses", async (t) => {
  const { endpoint, raw } = await acceptedPair(t, transport);
  t.deepEqual(endpoint.remote, { family: "ipv4", address: "127.0.0.1", port: raw.localPort as number });
  t.deepEqual(endpoint.local, { family: "ipv4", address: "127.0.0.1", port: raw.remotePort as number });
});

const withIpv6 = hasIpv6 ? test : test.skip;
for (const [client, family] of [
  ["127.0.0.1", "ipv4"],
  ["::1", "ipv6"],
] as const) {
  withIpv6(`a client from ${client} at a listener on [::] is ${family} (needs ::1 on this machine)`, async (t) => {
    const { promise, resolve } = deferred<Endpoint>();
    const listener = await listenOn(t, transport, resolve, { kind: "tcp", host: "::", port: 0 });
    rawConnect(t, { host: client, port: portOf(listener) });
    const endpoint = await promise;
    t.teardown(() => endpoint.destroy());
    t.like(endpoint.remote, { family, address: client });
    t.like(endpoint.local, { family, address: client });
  });
}

test("one-byte segments are read in order, and then the FIN", async (t) => {
  const { endpoint, raw } = await acceptedPair(t, transport);
  const text = "a hello in very small pieces";
  for (const letter of text) {
    raw.write(letter);
    await new Promise(setImmediate);
  }
  raw.end();
  t.is(await readText(endpoint), text);
  t.is(await endpoint.read(soon()), undefined, "the end stays the end");
});

test("a read throws its deadline's code and leaves the endpoint usable", async (t) => {
  const { endpoint, raw } = await acceptedPair(t, transport);
  const started = performance.now();
  await t.throwsAsync(endpoint.read(deadlineIn(50, "hello_timeout")), { code: "hello_timeout" });
  t.true(performance.now() - started >= 50, "not a moment too early");
  await t.throwsAsync(endpoint.read(deadlineIn(-1, "preface_timeout")), { code: "preface_timeout" });
  raw.end("late");
  t.is(await readText(endpoint), "late");
});

test("two reads at once are refused, and the first still gets its bytes", async (t) => {
  const { endpoint, raw } = await acceptedPair(t, transport);
  const first = endpoint.read(soon());
  await t.throwsAsync(endpoint.read(soon()), { code: "internal" });
  raw.write("x");
  t.is((await first)?.length, 1);
});

test("bytes that were put back come first", async (t) => {
  const { endpoint, raw } = await acceptedPair(t, transport);
  raw.end("world");
  await endpoint.hangup;
  endpoint.unread(Buffer.from("hello "));
  t.is(await readText(endpoint), "hello world");
});

test("a FIN is seen without reading, and the bytes before it stay readable", async (t) => {
  const { endpoint, raw } = await acceptedPair(t, transport);
  raw.end("bytes first");
  t.is(await endpoint.hangup, "ended");
  t.is(await readText(endpoint), "bytes first");
});

test("a RST is seen without reading, and a read then throws", async (t) => {
  const { endpoint, raw } = await acceptedPair(t, transport);
  raw.write("bytes that may be lost");
  endpoint.unread((await endpoint.read(soon())) ?? Buffer.alloc(0));
  raw.resetAndDestroy();
  t.is(await endpoint.hangup, "reset");
  await t.throwsAsync(readText(endpoint), { code: "peer_reset" });
  endpoint.write(Buffer.from("into the void"));
  endpoint.end(Buffer.from("harmless"));
});

test("a RST ends a waiting read", async (t) => {
  const { endpoint, raw } = await acceptedPair(t, transport);
  const reading = endpoint.read(soon());
  raw.resetAndDestroy();
  await t.throwsAsync(reading, { code: "peer_reset" });
});

test("a large hello that was put back does not hide that the client leaves", async (t) => {
  const { endpoint, raw } = await acceptedPair(t, transport);
  endpoint.unread(Buffer.alloc(1 << 20));
  raw.end();
  t.is(await endpoint.hangup, "ended");
});

test.serial("what nobody reads is taken in only up to a bound, and arrives whole when it is read", async (t) => {
  const { endpoint, raw } = await acceptedPair(t, transport);
  const total = 24 << 20;
  const before = (await memoryAlive()).bufferBytes;
  const block = Buffer.alloc(1 << 20, 7);
  for (let sent = 0; sent < total; sent += block.length) raw.write(block);
  raw.end();
  const unsent = await settled(() => raw.writableLength);
  t.true(unsent > 0, "the sender is held back");
  const grown = (await memoryAlive()).bufferBytes - before;
  t.true(grown < 2 << 20, `${grown} bytes more in memory, of which 1 MiB is the sender's`);
  let received = 0;
  for (let bytes = await endpoint.read(soon()); bytes !== undefined; bytes = await endpoint.read(soon())) {
    received += bytes.length;
  }
  t.is(received, total);
});

test("the last bytes reach a client that has sent megabytes which nobody read", async (t) => {
  for (let round = 0; round < 10; round++) {
    const { endpoint, raw } = await acceptedPair(t, transport);
    raw.pause();
    raw.write(Buffer.alloc(4 << 20));
    await settled(() => raw.writableLength, 20);
    endpoint.end(Buffer.from("alert"));
    const answer = await readAll(raw);
    t.is(answer.toString(), "alert");
    raw.end();
  }
});

test("an ended endpoint is closed after a second, whatever the peer does", async (t) => {
  const { endpoint, raw } = await acceptedPair(t, transport);
  const started = performance.now();
  endpoint.end(Buffer.from("bye"));
  t.is((await readAll(raw)).toString(), "bye");
  // The peer keeps its own direction open and goes on sending, until that is answered with a RST.
  const sending = setInterval(() => raw.write("."), 20);
  t.teardown(() => clearInterval(sending));
  await new Promise((resolve) => raw.once("close", resolve));
  clearInterval(sending);
  const tookMs = performance.now() - started;
  t.true(tookMs > 900 && tookMs < 3000, `${tookMs} ms`);
});

test("destroying ends a waiting read and the hangup, and may be done again", async (t) => {
  const { endpoint, raw } = await acceptedPair(t, transport);
  const left = howLeft(raw);
  const reading = endpoint.read(soon());
  endpoint.destroy();
  await t.throwsAsync(reading, { code: "closed_here" });
  await t.throwsAsync(endpoint.read(soon()), { code: "closed_here" });
  t.is(await endpoint.hangup, "destroyed");
  t.is(await left, "ended");
  endpoint.destroy();
  endpoint.reset();
  endpoint.end(Buffer.from("late"));
  endpoint.write(Buffer.from("late"));
  endpoint.unread(Buffer.from("late"));
});

test("a reset arrives as a RST, also behind bytes that the peer does not read", async (t) => {
  const quiet = await acceptedPair(t, transport);
  const left = howLeft(quiet.raw);
  quiet.endpoint.reset();
  t.is(await left, "reset");

  const stalled = await acceptedPair(t, transport);
  stalled.raw.pause();
  for (let sent = 0; sent < 16; sent++) stalled.endpoint.write(Buffer.alloc(1 << 20));
  await settled(() => stalled.raw.bytesRead, 50);
  stalled.endpoint.reset();
  t.is(await howLeft(stalled.raw), "reset");
});

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
