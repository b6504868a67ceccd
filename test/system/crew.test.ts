import { EventEmitter, once } from "node:events";
import { createServer, type Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import { silentLog } from "../../src/base/log.js";
import { chooseEngine } from "../../src/transport/choose-engine.js";
import { type Crew, startCrew } from "../../src/transport/epoll/crew.js";
import { ownerOfWorker } from "../../src/transport/epoll/ownership.js";
import type { FromGivingWorker, ToGivingWorker } from "../harness/giving-worker.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { passOver } from "../harness/needs.js";

// Descriptors on their way between workers, one of which dies meanwhile.

assertNothingLeft(test);

interface Scene {
  readonly crew: Crew<ToGivingWorker>;
  /** The other end of what the first worker has connected. */
  readonly peer: Socket;
  told<T extends FromGivingWorker["type"]>(type: T): Promise<Extract<FromGivingWorker, { type: T }>>;
  died(): Promise<unknown>;
  readonly heardOfSecond: readonly FromGivingWorker[];
}

async function twoWorkers(t: ExecutionContext): Promise<Scene | undefined> {
  const { engine, why } = await chooseEngine("auto");
  if (engine !== "epoll") {
    passOver(t, `the epoll engine (${why})`);
    return undefined;
  }
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const events = new EventEmitter();
  const heardOfSecond: FromGivingWorker[] = [];
  const crew = await startCrew<FromGivingWorker, ToGivingWorker>({
    entry: new URL("../harness/giving-worker.js", import.meta.url),
    workers: 2,
    maxPipes: 4,
    listeners: [[], []],
    log: silentLog,
    role: () => ({ port }),
    received(worker, message) {
      if (worker === 1) heardOfSecond.push(message);
      else events.emit(message.type, message);
    },
    died: () => events.emit("died"),
    replay: () => [],
    fault: (error) => events.emit("error", error),
  });
  const accepted = once(server, "connection");
  const connected = once(events, "connected");
  crew.post(0, { type: "connect" });
  const [peer] = (await accepted) as [Socket];
  await connected;
  peer.on("error", () => {});
  t.teardown(async () => {
    await crew.stop();
    peer.destroy();
    server.close();
  });
  return {
    crew,
    peer,
    heardOfSecond,
    told: async (type) => (await once(events, type))[0],
    died: () => once(events, "died"),
  };
}

/** How the connection ended, as its peer saw it. */
function endOf(peer: Socket): Promise<string> {
  peer.resume();
  return new Promise((resolve) => {
    peer.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    peer.once("close", () => resolve("closed in order"));
  });
}

test("what a worker was given, and dies before it is told of, is closed", async (t) => {
  const scene = await twoWorkers(t);
  if (scene === undefined) return;
  const { crew, peer, told, died } = scene;
  const given = told("given");
  crew.post(0, { type: "give", owner: ownerOfWorker(1) });
  const { passed } = await given;
  const end = endOf(peer);
  const dead = died();
  crew.post(1, { type: "die" });
  await dead;
  t.is(await end, "ECONNRESET");
  // The message comes too late, and must not close whatever has the number by now.
  crew.pass(1, passed, { type: "passed", passed });
});

test("what is given to a worker that has died is closed, and the one in its place hears nothing of it", async (t) => {
  const scene = await twoWorkers(t);
  if (scene === undefined) return;
  const { crew, peer, told, died, heardOfSecond } = scene;
  const dead = died();
  crew.post(1, { type: "die" });
  await dead;
  const given = told("given");
  crew.post(0, { type: "give", owner: ownerOfWorker(1) });
  const { passed } = await given;
  while (!crew.isThere(1)) await new Promise((resolve) => setTimeout(resolve, 20));
  const end = endOf(peer);
  crew.pass(1, passed, { type: "passed", passed });
  t.is(await end, "ECONNRESET");
  await crew.stop();
  t.deepEqual(heardOfSecond, []);
});
