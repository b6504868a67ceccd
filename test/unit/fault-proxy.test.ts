import { once } from "node:events";
import { connect, type Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import { type FaultProxy, openFaultProxy } from "../harness/fault-proxy.js";
import { plainServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";

// The relay that breaks links for others must break them as it says, or what is proven with it is not.

assertNothingLeft(test);

interface Scene {
  readonly link: FaultProxy;
  readonly dialler: Socket;
  /** The same connection at its other end. */
  readonly listener: Socket;
  dial(): Socket;
}

async function scene(t: ExecutionContext): Promise<Scene> {
  const come: Socket[] = [];
  const server = await plainServer((socket) => {
    come.push(socket);
  });
  const link = await openFaultProxy({ target: server.port });
  const dialled: Socket[] = [];
  const dial = () => {
    const socket = connect({ port: link.port, host: "127.0.0.1", allowHalfOpen: true });
    socket.on("error", () => {});
    dialled.push(socket);
    return socket;
  };
  t.teardown(async () => {
    for (const socket of dialled) socket.destroy();
    await link.close();
    await server.close();
  });
  const dialler = dial();
  dialler.write("first");
  while (come.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const [listener] = come as [Socket];
  t.is(await read(listener), "first");
  return { link, dialler, listener, dial };
}

async function read(socket: Socket): Promise<string> {
  const [bytes] = (await once(socket, "data")) as [Buffer];
  return bytes.toString();
}

/** Resolves with how it was closed. */
function closing(socket: Socket): Promise<string> {
  let how = "in order";
  socket.on("error", ({ code }: NodeJS.ErrnoException) => {
    how = code ?? "";
  });
  socket.resume();
  return new Promise((resolve) => socket.once("close", () => resolve(how)));
}

/** What has happened to neither in the meantime: a byte, an end, a close. */
function silence(...sockets: Socket[]): () => boolean {
  let silent = true;
  for (const socket of sockets)
    for (const event of ["data", "end", "close"])
      socket.once(event, () => {
        silent = false;
      });
  return () => silent;
}

/** Long enough for what must not come to have come. */
const aMoment = () => new Promise((resolve) => setTimeout(resolve, 100));

test("a whole link passes bytes, each end by itself, and a reset as a reset", async (t) => {
  const { link, dialler, listener, dial } = await scene(t);
  dialler.end("last");
  t.is(await read(listener), "last");
  listener.end("answer");
  t.is(await read(dialler), "answer");
  t.is(await closing(dialler), "in order");
  const other = dial();
  await once(other, "connect");
  link.resetAll();
  t.is(await closing(other), "ECONNRESET");
});

test("nothing comes through a black hole, no end and no reset, and everything in order when it is over", async (t) => {
  const { link, dialler, listener } = await scene(t);
  link.become("blackHole");
  const silent = silence(dialler, listener);
  dialler.end("swallowed");
  await aMoment();
  t.true(silent());
  link.become("whole");
  t.is(await read(listener), "swallowed");
  await once(listener, "end");

  const next = await scene(t);
  next.link.become("blackHole");
  const unaware = silence(next.listener);
  next.dialler.resetAndDestroy();
  await aMoment();
  t.true(unaware());
  const how = closing(next.listener);
  next.link.become("whole");
  t.is(await how, "ECONNRESET");
});

test("who connects into a black hole is connected, and served when it is over", async (t) => {
  const { link, dial } = await scene(t);
  link.become("blackHole");
  const late = dial();
  await once(late, "connect");
  t.is(link.open, 2);
  const how = closing(late);
  link.become("cut");
  t.is(await how, "ECONNRESET");
  const refused = dial();
  t.is(await closing(refused), "ECONNRESET");
});

for (const left of ["dialler", "listener"] as const) {
  test(`half-open: the ${left} is reset, and the other end hears of it when orphans are settled`, async (t) => {
    const { link, dialler, listener } = await scene(t);
    const [lost, kept] = left === "dialler" ? [dialler, listener] : [listener, dialler];
    const silent = silence(kept);
    const how = closing(lost);
    link.halfOpenAll(left);
    t.is(await how, "ECONNRESET");
    kept.write("into nothing");
    await aMoment();
    t.true(silent());
    const later = closing(kept);
    link.settleOrphans();
    t.is(await later, "ECONNRESET");
  });
}

test("a slow link cuts into small pieces and loses none, also when it is whole again in between", async (t) => {
  const { link, dialler, listener } = await scene(t);
  const sent = Buffer.from(Array.from({ length: 20_000 }, (_, at) => at % 251));
  const got: Buffer[] = [];
  let bytes = 0;
  const all = new Promise<void>((resolve) => {
    listener.on("data", (piece: Buffer) => {
      got.push(piece);
      bytes += piece.length;
      if (bytes >= 4096) link.become("whole");
      if (bytes === sent.length) resolve();
    });
  });
  link.become("slow");
  dialler.write(sent);
  await all;
  t.is(Buffer.compare(Buffer.concat(got), sent), 0);
  t.true(got[0]!.length <= 2048);
});
