import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect as netConnect, type Socket } from "node:net";
import test from "ava";
import { seededRandom } from "../fuzz/random.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { clientHello } from "../harness/clients.js";
import { plainServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { startPair } from "../harness/pair.js";

// Everybody leaves at any moment, in any way. Afterwards nothing may be left, in either proxy.

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const clients = 2000;
const atOnce = 50;

test("2,000 connections that fail at random moments leave no socket, no timer and no count behind", async (t) => {
  const dice = seededRandom(Number(process.env.CHAOS_SEED ?? 20_261_121));
  const later = (act: () => void) => {
    const when = dice.below(10);
    if (when === 0) act();
    else if (when === 1) process.nextTick(act);
    else if (when === 2) queueMicrotask(act);
    else if (when < 5) setImmediate(act);
    else setTimeout(act, dice.below(12));
  };
  const leave = (socket: Socket) => {
    const way = dice.below(4);
    if (way === 0) socket.end();
    // Node loses a socket that is reset while its FIN waits.
    else if (way === 1 && !socket.writableEnded) socket.resetAndDestroy();
    else if (way === 2) socket.end("the last bytes");
    else socket.destroy();
  };
  const target = await plainServer((socket) => {
    const mood = dice.below(6);
    if (mood === 0) socket.resetAndDestroy();
    else if (mood === 1) socket.destroy();
    else if (mood === 2) later(() => leave(socket));
    else if (mood === 3) socket.on("data", () => later(() => leave(socket)));
    else socket.pipe(socket);
    if (mood >= 4) return;
    socket.resume();
    socket.once("end", () => later(() => socket.end()));
  });
  t.teardown(() => target.close());
  const pair = await startPair(t, certificates, [{ address: target.address, proxyProtocol: "v2" }], {
    public: {
      tls: { helloTimeoutMs: 300 },
      rendezvous: { attemptTimeoutMs: 500, deadlineMs: 1000, startupHoldMs: 100 },
      splice: { idleTimeoutMs: 60_000, halfClosedTimeoutMs: 20_000 },
    },
    private: { splice: { idleTimeoutMs: 60_000, halfClosedTimeoutMs: 20_000 } },
  });
  const before = readdirSync("/proc/self/fd").length;
  const hello = await clientHello(serverName);

  async function oneClient(): Promise<void> {
    const socket = netConnect({ port: pair.public.clientPort, host: "127.0.0.1", allowHalfOpen: dice.below(2) === 0 });
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    socket.once("end", () => later(() => socket.end()));
    const stage = dice.below(8);
    if (stage === 0) later(() => leave(socket));
    else {
      await Promise.race([once(socket, "connect").catch(() => {}), closed]);
      const cut = stage === 1 ? dice.below(hello.length) : hello.length;
      socket.write(hello.subarray(0, cut));
      if (stage === 2) socket.end();
      else if (stage < 6) later(() => leave(socket));
      else socket.once("data", () => later(() => leave(socket)));
      if (stage >= 6) setTimeout(() => socket.destroy(), 2000).unref();
    }
    socket.resume();
    await closed;
  }

  let started = 0;
  const crew = Array.from({ length: atOnce }, async () => {
    while (started++ < clients) await oneClient();
  });
  await Promise.all(crew);
  const giveUpAt = performance.now() + 15_000;
  const left = () => ({
    publicLive: pair.public.proxy.status().connections.live,
    privateLive: pair.private.proxy.status().connections.live,
    atTarget: target.open,
    descriptors: readdirSync("/proc/self/fd").length - before,
  });
  const nothing = { publicLive: 0, privateLive: 0, atTarget: 0, descriptors: 0 };
  while (performance.now() < giveUpAt && JSON.stringify(left()) !== JSON.stringify(nothing))
    await new Promise((resolve) => setTimeout(resolve, 20));
  t.deepEqual(left(), nothing);
  t.log(JSON.stringify({ public: pair.public.proxy.status().refused, private: pair.private.proxy.status().refused }));
  t.false([...pair.public.log.lines, ...pair.private.log.lines].some((line) => line.fields.fault !== undefined));
});
