import { once } from "node:events";
import { existsSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import test from "ava";
import type { Endpoint } from "../../src/transport/endpoint.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { engineUnderTest } from "./engines.js";
import { listenOn, loopback, portOf, rawConnect, readAll, socketDirectory, soon } from "./peers.js";

const transport = engineUnderTest();
assertNothingLeft(test);

const ignore = (endpoint: Endpoint) => endpoint.destroy();

test("a port that is taken is in use", async (t) => {
  const port = portOf(await listenOn(t, transport, ignore));
  await t.throwsAsync(transport.listen({ address: { ...loopback, port }, accept: ignore }), { code: "address_in_use" });
});

test("an address that is not ours, and a directory that is not there, are unavailable", async (t) => {
  const foreign = { kind: "tcp", host: "192.0.2.1", port: 0 } as const;
  await t.throwsAsync(transport.listen({ address: foreign, accept: ignore }), { code: "address_unavailable" });
  const nowhere = { kind: "unix", path: join(socketDirectory(t), "missing", "s") } as const;
  await t.throwsAsync(transport.listen({ address: nowhere, accept: ignore }), { code: "address_unavailable" });
});

test("closing stops accepting and leaves accepted endpoints alone", async (t) => {
  const accepted: Endpoint[] = [];
  const { promise, resolve } = withResolver();
  const listener = await listenOn(t, transport, (endpoint) => {
    accepted.push(endpoint);
    resolve();
  });
  const raw = rawConnect(t, { port: portOf(listener) });
  await promise;
  await listener.close();
  const late = rawConnect(t, { port: portOf(listener) });
  const [error] = await once(late, "error");
  t.is((error as NodeJS.ErrnoException).code, "ECONNREFUSED");
  raw.end("still here");
  const endpoint = accepted[0] as Endpoint;
  t.is(Buffer.from((await endpoint.read(soon())) ?? []).toString(), "still here");
  endpoint.end(Buffer.from("so am I"));
  t.is((await readAll(raw)).toString(), "so am I");
});

test("a unix socket is listened on, and its file is gone afterwards", async (t) => {
  const path = join(socketDirectory(t), "s");
  const listener = await listenOn(t, transport, (endpoint) => endpoint.end(Buffer.from("hello")), {
    kind: "unix",
    path,
  });
  t.deepEqual(listener.address, { family: "unix" });
  const raw = rawConnect(t, { path });
  t.is((await readAll(raw)).toString(), "hello");
  raw.end();
  await listener.close();
  t.false(existsSync(path));
});

test("a socket file whose process is gone is replaced", async (t) => {
  const path = join(socketDirectory(t), "s");
  // A listener that closes removes its file only under the name that it knows.
  const dead = createServer().listen(`${path}.old`);
  await once(dead, "listening");
  renameSync(`${path}.old`, path);
  await new Promise((resolve) => dead.close(resolve));
  t.true(existsSync(path), "the stale file is there");
  await listenOn(t, transport, (endpoint) => endpoint.end(Buffer.from("new")), { kind: "unix", path });
  const raw = rawConnect(t, { path });
  t.is((await readAll(raw)).toString(), "new");
  raw.end();
});

test("a socket file that is listened on, and a file that is no socket, are in use", async (t) => {
  const directory = socketDirectory(t);
  const live = { kind: "unix", path: join(directory, "live") } as const;
  await listenOn(t, transport, ignore, live);
  await t.throwsAsync(transport.listen({ address: live, accept: ignore }), { code: "address_in_use" });
  t.true(existsSync(live.path));
  const plain = { kind: "unix", path: join(directory, "plain") } as const;
  writeFileSync(plain.path, "not a socket");
  await t.throwsAsync(transport.listen({ address: plain, accept: ignore }), { code: "address_in_use" });
  t.true(existsSync(plain.path));
});

function withResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
