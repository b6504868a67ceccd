import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { type Deadline, deadlineIn } from "../../src/base/deadline.js";
import type { Endpoint, Splice, SpliceOptions } from "../../src/transport/endpoint.js";
import type { Listener, ResolvedAddress, Transport } from "../../src/transport/transport.js";

/** Peers made of plain sockets, for both engines to talk to. Everything is closed when the test ends. */

export const loopback = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
export const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some((one) => one.address === "::1"));

/** Long enough for any test that works. */
export function soon(): Deadline {
  return deadlineIn(20_000, "connect_timeout");
}

export function listenOn(
  t: ExecutionContext,
  transport: Transport,
  accept: (endpoint: Endpoint) => void,
  address: Parameters<Transport["listen"]>[0]["address"] = loopback,
): Promise<Listener> {
  return transport.listen({ address, accept }).then((listener) => {
    t.teardown(() => listener.close());
    return listener;
  });
}

export function portOf(listener: Listener): number {
  if (listener.address.family === "unix") throw new Error("a unix listener has no port");
  return listener.address.port;
}

/** A plain socket, half-open like ours, that never crashes the test with an error event. */
export function rawConnect(t: ExecutionContext, to: { port: number; host?: string } | { path: string }): Socket {
  const socket = connect({ host: "127.0.0.1", allowHalfOpen: true, noDelay: true, ...to });
  return tame(t, socket);
}

function tame(t: ExecutionContext, socket: Socket): Socket {
  socket.on("error", () => {});
  t.teardown(() => {
    socket.destroy();
  });
  return socket;
}

/** A plain server; `next` resolves with the sockets that come, in turn, and `takeAll` takes those that wait for that. */
export async function rawServer(
  t: ExecutionContext,
  path?: string,
  backlog = 1024,
): Promise<{ address: ResolvedAddress; next: () => Promise<Socket>; takeAll: () => Socket[] }> {
  const come: Socket[] = [];
  const waiting: ((socket: Socket) => void)[] = [];
  const server: Server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
    tame(t, socket);
    const next = waiting.shift();
    if (next) next(socket);
    else come.push(socket);
  });
  const listening = path === undefined ? { port: 0, host: "127.0.0.1" } : { path };
  await new Promise<void>((resolve) => server.listen({ ...listening, backlog }, resolve));
  t.teardown(() => {
    server.close();
  });
  const bound = server.address();
  const address: ResolvedAddress =
    bound !== null && typeof bound === "object"
      ? { kind: "tcp", ip: "127.0.0.1", port: bound.port }
      : { kind: "unix", path: path ?? "" };
  return {
    address,
    takeAll: () => come.splice(0),
    next: () => {
      const socket = come.shift();
      return socket ? Promise.resolve(socket) : new Promise((resolve) => waiting.push(resolve));
    },
  };
}

/** An accepted endpoint of the engine, and the plain socket at its other end. */
export async function acceptedPair(
  t: ExecutionContext,
  transport: Transport,
): Promise<{ endpoint: Endpoint; raw: Socket }> {
  let raw: Socket | undefined;
  let connected: Promise<unknown> | undefined;
  const endpoint = await new Promise<Endpoint>((resolve, reject) => {
    listenOn(t, transport, resolve).then((listener) => {
      raw = rawConnect(t, { port: portOf(listener) });
      connected = once(raw, "connect");
    }, reject);
  });
  await connected;
  t.teardown(() => endpoint.destroy());
  return { endpoint, raw: raw as unknown as Socket };
}

/** Two plain sockets with the engine between them; `a` and `b` are its two endpoints, not spliced yet. */
interface Bridge {
  readonly rawA: Socket;
  readonly rawB: Socket;
  readonly a: Endpoint;
  readonly b: Endpoint;
  /** Joins them; what has moved is counted. */
  splice(limits?: Partial<SpliceOptions>): Splice;
  readonly moved: { ab: number; ba: number };
}

export async function bridge(t: ExecutionContext, transport: Transport): Promise<Bridge> {
  const { endpoint: a, raw: rawA } = await acceptedPair(t, transport);
  const server = await rawServer(t);
  const [b, rawB] = await Promise.all([transport.connect(server.address, soon()).connected, server.next()]);
  t.teardown(() => b.destroy());
  const moved = { ab: 0, ba: 0 };
  const count: SpliceOptions["moved"] = (direction, bytes) => {
    moved[direction] += bytes;
  };
  const limits = { idleTimeoutMs: 20_000, halfClosedTimeoutMs: 20_000, moved: count };
  return {
    rawA,
    rawB,
    a,
    b,
    moved,
    splice(changed) {
      const spliced = transport.splice(a, b, { ...limits, ...changed });
      t.teardown(() => spliced.cut());
      return spliced;
    },
  };
}

/**
 * How a plain socket's peer left: FIN, or RST. What it sent before is read and dropped. Node says `end` also for a RST
 * that came with unread bytes; writing nothing brings the error to light.
 */
export function howLeft(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNRESET" ? "reset" : `${error.code}`);
    socket.once("error", failed);
    socket.once("end", () => {
      if (socket.writableEnded) resolve("ended");
      else socket.write("", (error) => (error ? failed(error) : resolve("ended")));
    });
    socket.resume();
  });
}

/** Everything up to the FIN. Rejects on a reset. */
export function readAll(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    socket.on("data", (bytes: Buffer) => chunks.push(bytes));
    socket.once("end", () => resolve(Buffer.concat(chunks)));
    socket.once("error", reject);
    socket.resume();
  });
}

/** Length and SHA-256 of everything up to the FIN. */
export function digestAll(socket: Socket): Promise<{ bytes: number; sha256: string }> {
  return new Promise((resolve, reject) => {
    const hash = createHash("sha256");
    let bytes = 0;
    socket.on("data", (chunk: Buffer) => {
      hash.update(chunk);
      bytes += chunk.length;
    });
    socket.once("end", () => resolve({ bytes, sha256: hash.digest("hex") }));
    socket.once("error", reject);
    socket.resume();
  });
}

/** Sends `total` bytes that differ from place to place, then FIN; resolves with their digest once all are written. */
export async function sendMany(
  socket: Socket,
  total: number,
  seed: number,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  const block = Buffer.alloc(251 * 257, seed);
  for (let index = 0; index < block.length; index++) block[index] = (index * 31 + seed) % 251;
  for (let sent = 0; sent < total; ) {
    const chunk = block.subarray(0, Math.min(block.length, total - sent));
    hash.update(chunk);
    sent += chunk.length;
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once("drain", resolve));
  }
  socket.end();
  return { bytes: total, sha256: hash.digest("hex") };
}

/** Resolves when `value` has not changed for a while: the only way to see that nothing happens. */
export async function settled(value: () => number, quietMs = 150): Promise<number> {
  let last = value();
  let since = performance.now();
  while (performance.now() - since < quietMs) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (value() !== last) {
      last = value();
      since = performance.now();
    }
  }
  return last;
}

/** Resolves when `value` is what it should become, or has stood still. */
export async function settledAt(value: () => number, expected: number): Promise<void> {
  for (let round = 0; round < 100 && value() !== expected; round++) await new Promise(setImmediate);
  if (value() !== expected) await settled(value);
}

/** A directory of its own for unix sockets. */
export function socketDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), "engine-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
