import { readdirSync } from "node:fs";
import type { TLSSocket } from "node:tls";
import test, { type ExecutionContext } from "ava";
import { encodePreface } from "../../src/rendezvous/preface.js";
import { tokenWorker } from "../../src/rendezvous/token.js";
import { chooseEngine } from "../../src/transport/choose-engine.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { ask, clientHello, tcpClient, tlsClient, untilClosed } from "../harness/clients.js";
import { echoServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import type { MemoryLog } from "../harness/memory-log.js";
import { passOver } from "../harness/needs.js";
import { announced, type Pair, startPair, startPublic } from "../harness/pair.js";
import { obedientEntries, plantFault } from "../harness/planted-faults.js";
import { scriptedPrivate } from "../harness/scripted-private.js";

// A worker that throws, or hangs, in the middle of its work. The others go on, and what it had is closed. One test at a
// time: a planted fault hits every worker of this process that has the number.

assertNothingLeft(test);

let certificates: TestCertificates;
let engine: Awaited<ReturnType<typeof chooseEngine>>;
test.before(async () => {
  certificates = await testCertificates();
  engine = await chooseEngine("auto");
});
test.after.always(() => certificates.remove());

const twoWorkers = { transport: { engine: "epoll" as const, workers: 2 } };

function epollWorks(t: ExecutionContext): boolean {
  if (engine.engine === "epoll") return true;
  passOver(t, `the epoll engine (${engine.why})`);
  return false;
}

const ended = (log: MemoryLog) => log.line(({ message }) => message.startsWith("a data-plane worker has ended"));
const replaced = (log: MemoryLog, restarts = 1) =>
  log.line(
    ({ message, fields }) => message === "a data-plane worker has been replaced" && fields.restarts === restarts,
  );

/** Makes a request on a connection of its own; false where the connection was lost on the way. */
async function request(pair: Pair, text: string): Promise<boolean> {
  let client: TLSSocket | undefined;
  try {
    client = await tlsClient(pair.public.clientPort, certificates);
    return (await ask(client, text)) === text;
  } catch {
    return false;
  } finally {
    client?.destroy();
  }
}

for (const role of ["public", "private"] as const) {
  test.serial(
    `a worker of a ${role} proxy throws under load: the others go on, and another one takes its place`,
    async (t) => {
      if (!epollWorks(t)) return;
      const server = await echoServer(certificates);
      t.teardown(() => server.close());
      const pair = await startPair(
        t,
        certificates,
        [{ address: server.address }],
        { public: twoWorkers, private: twoWorkers },
        { [role]: obedientEntries[role] },
      );
      const descriptors = readdirSync("/proc/self/fd").length;
      const idle = await Promise.all(Array.from({ length: 40 }, () => tlsClient(pair.public.clientPort, certificates)));
      const lost = new Set<TLSSocket>();
      for (const client of idle) client.once("close", () => lost.add(client));

      // Load: requests that begin after the replacement must all be served, those before may be hit.
      let loading = true;
      t.teardown(() => {
        loading = false;
      });
      const outcomes = { before: 0, failed: 0, after: 0, failedAfter: 0 };
      let isReplaced = false;
      const load = Array.from({ length: 8 }, async (_, lane) => {
        for (let i = 0; loading; i++) {
          const late = isReplaced;
          const fine = await request(pair, `request ${lane} ${i}`);
          outcomes[late ? "after" : "before"]++;
          if (!fine) outcomes[late ? "failedAfter" : "failed"]++;
        }
      });
      plantFault({ worker: 0, what: "throw" });
      const { log } = pair[role];
      const { fields } = await ended(log);
      t.like(fields, { worker: 0, restartMs: 100 });
      t.regex(String(fields.fault), /planted fault[\s\S]*obey-faults/);
      t.true((fields.descriptorsClosed as number) > 10);
      await replaced(log);
      isReplaced = true;
      t.deepEqual(
        pair[role].proxy.status().workers.map(({ state, restarts }) => ({ state, restarts })),
        [
          { state: "running", restarts: 1 },
          { state: "running", restarts: 0 },
        ],
      );
      while (outcomes.after < 40) await request(pair, "once more");
      loading = false;
      await Promise.all(load);
      t.log(outcomes);
      t.is(outcomes.failedAfter, 0);

      const living = idle.filter((client) => !lost.has(client));
      t.true(lost.size > 0 && living.length > 0, `${lost.size} of 40 lost`);
      t.deepEqual(
        new Set(await Promise.all(living.map((client) => ask(client, "still here")))),
        new Set(["still here"]),
      );
      await liveAre(living.length, pair);
      const { refused } = pair.public.proxy.status();
      t.is(refused.token_unknown, undefined);
      for (const client of idle) client.destroy();
      await liveAre(0, pair);
      // The server waits two minutes for a handshake, also of who has left before it began.
      const left = () => readdirSync("/proc/self/fd").length - descriptors - server.open;
      const giveUpAt = performance.now() + 5000;
      while (left() > 0 && performance.now() < giveUpAt) await new Promise((resolve) => setTimeout(resolve, 20));
      t.true(left() <= 0, `${left()} descriptors more than before`);
    },
  );
}

/** Resolves when either proxy has so many connections. */
async function liveAre(count: number, { public: { proxy }, private: { proxy: other } }: Pair): Promise<void> {
  const giveUpAt = performance.now() + 5000;
  const live = () => [proxy, other].map((one) => one.status().connections.live);
  while (live().some((one) => one !== count)) {
    if (performance.now() > giveUpAt) throw new Error(`${live()} connections are live, not ${count}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test.serial("who comes for a client of a worker that died is late, not hostile", async (t) => {
  if (!epollWorks(t)) return;
  const running = await startPublic(t, certificates, twoWorkers, { workerEntry: obedientEntries.public });
  const attached = await scriptedPrivate(t, certificates, running, "private-proxy-1");
  attached.announce(1, [serverName]);
  await announced(running, serverName);
  const client = await tcpClient(running.clientPort);
  client.write(await clientHello(serverName));
  const { token } = await attached.offer();
  const worker = tokenWorker(token);
  plantFault({ worker, what: "throw" });
  t.is((await untilClosed(client)).length, 0);
  const present = async () => {
    const dialBack = await tcpClient(running.rendezvousPort);
    dialBack.write(encodePreface({ kind: "claim", token }));
    t.is((await untilClosed(dialBack)).length, 0);
  };
  await ended(running.log);
  await present();
  await replaced(running.log);
  for (let i = 0; i < 8; i++) await present();
  t.deepEqual(running.proxy.status().refused, { token_late: 9 });

  // The one in its place knows the names, and serves.
  const serving = new Set<number>();
  while (serving.size < 2) {
    const another = await tcpClient(running.clientPort);
    another.write(await clientHello(serverName));
    serving.add(tokenWorker((await attached.offer()).token));
    another.destroy();
  }
});

test.serial("a worker that dies again and again is replaced after longer and longer pauses", async (t) => {
  if (!epollWorks(t)) return;
  const running = await startPublic(t, certificates, twoWorkers, { workerEntry: obedientEntries.public });
  for (let death = 1; death <= 3; death++) {
    plantFault({ worker: 1, what: "throw" });
    await replaced(running.log, death);
  }
  const pauses = running.log.lines.flatMap(({ fields }) => (fields.restartMs === undefined ? [] : [fields.restartMs]));
  t.deepEqual(pauses, [100, 200, 400]);
  t.is(running.proxy.status().workers[1]!.restarts, 3);
});

test.serial("stopping does not wait for a worker that hangs, nor for one that is about to be replaced", async (t) => {
  if (!epollWorks(t)) return;
  const hanging = await startPublic(t, certificates, twoWorkers, { workerEntry: obedientEntries.public });
  plantFault({ worker: 0, what: "hang" });
  const client = await tcpClient(hanging.clientPort);
  const startedAt = performance.now();
  const stopped = hanging.proxy.stop();
  await hanging.proxy.stop();
  await stopped;
  t.true(performance.now() - startedAt < 9000);
  t.truthy(await hanging.log.line(({ message }) => message.includes("ended by force")));
  client.destroy();

  const dying = await startPublic(t, certificates, twoWorkers, { workerEntry: obedientEntries.public });
  plantFault({ worker: 0, what: "throw" });
  await ended(dying.log);
  await dying.proxy.stop();
  t.false(dying.log.lines.some(({ message }) => message.includes("replaced")));
});

test.serial(
  "the worker that owns a target with a cap throws: what it counted is gone with it, and its successor counts anew",
  async (t) => {
    if (!epollWorks(t)) return;
    const server = await echoServer(certificates);
    t.teardown(() => server.close());
    const pair = await startPair(
      t,
      certificates,
      [{ address: server.address, maxConnections: 1 }],
      { public: twoWorkers, private: twoWorkers },
      { private: obedientEntries.private },
    );
    const load = () => {
      const { live, queued } = pair.private.proxy.status().targets![0]!.queue!;
      return `${live} ${queued}`;
    };
    const first = await tlsClient(pair.public.clientPort, certificates);
    const closed = new Promise((resolve) => first.once("close", resolve));
    const waiting = request(pair, "lost with its queue");
    while (load() !== "1 1") await new Promise((resolve) => setImmediate(resolve));
    plantFault({ worker: 0, what: "throw" });
    await ended(pair.private.log);
    t.is(load(), "0 0");
    await closed;
    t.false(await waiting);
    await replaced(pair.private.log);
    t.true(await request(pair, "served by the successor"));
    while (load() !== "0 0") await new Promise((resolve) => setImmediate(resolve));
  },
);
