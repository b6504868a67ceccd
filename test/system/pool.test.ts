import { once } from "node:events";
import type { TLSSocket } from "node:tls";
import test, { type ExecutionContext } from "ava";
import { encodePreface } from "../../src/rendezvous/preface.js";
import { decodeProxyHeader } from "../../src/rendezvous/proxy-protocol.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { alertErrors, ask, clientHello, tcpClient, tlsClient, tlsError, untilClosed } from "../harness/clients.js";
import { echoServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { announced, type Pair, startPair, startPublic } from "../harness/pair.js";
import { parkByHand } from "../harness/parked.js";
import { scriptedPrivate } from "../harness/scripted-private.js";
import { until } from "../harness/until.js";

// Dial-backs that are parked in advance: whoever comes for them, and what becomes of them when nobody does.

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

type Changes = Parameters<typeof startPair>[3];

async function pairWith(t: ExecutionContext, pool: object, changes: Changes = {}): Promise<Pair> {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  return startPair(t, certificates, [{ address: server.address }], {
    ...changes,
    private: { ...changes?.private, pool },
  });
}

const pooled = ({ public: { proxy } }: Pair) => proxy.status().pooledDialBacks;

async function untilPooled(pair: Pair, count: number): Promise<void> {
  await until(
    () => pooled(pair) === count,
    () => pooled(pair),
  );
}

async function serve(t: ExecutionContext, port: number, text = "hello"): Promise<TLSSocket> {
  const client = await tlsClient(port, certificates);
  t.is(await ask(client, text), text);
  return client;
}

/** A private proxy by hand, with this many dial-backs parked. */
async function parkedScene(t: ExecutionContext, count: number, settings: Parameters<typeof startPublic>[2] = {}) {
  const running = await startPublic(t, certificates, settings);
  const by = await scriptedPrivate(t, certificates, running, "private-proxy-1");
  by.announce(7, [serverName]);
  await announced(running, serverName);
  const tokens = await by.askForPool(count);
  const parked = await parkByHand(running, tokens.slice(0, count));
  t.teardown(() => {
    for (const { socket } of parked) socket.destroy();
  });
  return { running, by, tokens, parked };
}

test.serial(
  "dial-backs are parked as pool.minIdle says, serve one client after another, and are replaced",
  async (t) => {
    const pair = await pairWith(t, { minIdle: 3, maxIdle: 3 });
    await untilPooled(pair, 3);
    for (let n = 0; n < 20; n++) (await serve(t, pair.public.clientPort, `client ${n}`)).destroy();
    await untilPooled(pair, 3);
    const { refused, connections } = pair.public.proxy.status();
    t.deepEqual(refused, {});
    t.is(connections.opened, 20);
    const metrics = pair.private.proxy.status();
    t.is(metrics.pooledDialBacks, 3);
  },
);

test.serial("a client that finds a parked dial-back is not offered, on whichever worker it lands", async (t) => {
  const { running, by, parked } = await parkedScene(t, 8);
  const hello = await clientHello(serverName);
  const clients = await Promise.all(
    parked.map(async () => {
      const client = await tcpClient(running.clientPort);
      client.write(hello);
      return client;
    }),
  );
  const given = await Promise.all(parked.map((one) => one.given));
  t.is(by.offered, 0);
  for (const bytes of given) {
    const decoded = decodeProxyHeader(bytes);
    if (decoded.status !== "header") return t.fail(decoded.status);
    const { announcementId, serverName: name, source } = decoded.header;
    t.like({ announcementId, name }, { announcementId: 7, name: serverName });
    t.is(source?.address, "127.0.0.1");
    t.deepEqual(bytes.subarray(decoded.length), hello, "the hello, bit for bit");
  }
  for (const { socket } of parked) socket.write(Buffer.concat([Buffer.of(1), Buffer.from("from the server")]));
  const answers = await Promise.all(clients.map((client) => once(client, "data")));
  t.deepEqual(new Set(answers.map(([bytes]) => String(bytes))), new Set(["from the server"]));
  await until(() => running.proxy.status().connections.live === 8);
  for (const socket of [...clients, ...parked.map((one) => one.socket)]) socket.destroy();
  await until(() => running.proxy.status().connections.closed === 8);
  t.is(running.proxy.status().connections.opened, 8, "who is passed to another worker is one connection");
});

test.serial("a burst of 500 clients: the pool grows, all are served, and it shrinks to pool.minIdle", async (t) => {
  const pair = await pairWith(t, { minIdle: 1, maxIdle: 6 });
  await untilPooled(pair, 1);
  let most = 0;
  await Promise.all(
    Array.from({ length: 25 }, async () => {
      for (let n = 0; n < 20; n++) {
        (await serve(t, pair.public.clientPort)).destroy();
        most = Math.max(most, pooled(pair));
      }
    }),
  );
  await untilPooled(pair, 6);
  t.true(most <= 6, `${most} parked`);
  await until(
    () => pooled(pair) === 1,
    () => pooled(pair),
  ).catch(() => untilPooled(pair, 1));
  t.deepEqual(pair.public.proxy.status().refused, {});
});

test.serial("a parked dial-back that is reset or ends is noticed, and no client meets it", async (t) => {
  const { running, by, parked } = await parkedScene(t, 3);
  parked[0]!.socket.resetAndDestroy();
  parked[1]!.socket.destroy();
  await until(() => running.proxy.status().pooledDialBacks === 1);
  const client = await tcpClient(running.clientPort);
  client.write(await clientHello(serverName));
  await parked[2]!.given;
  t.is(by.offered, 0);
  client.destroy();
});

test.serial(
  "a parked dial-back that swallows its client: the client is offered in time, and the rest of the pool is let go",
  async (t) => {
    const times = { attemptTimeoutMs: 500, deadlineMs: 5000 };
    const { running, by, parked } = await parkedScene(t, 3, { rendezvous: times });
    const ended = Promise.all(parked.map(({ socket }) => untilClosed(socket)));
    const client = await tcpClient(running.clientPort);
    client.write(await clientHello(serverName));
    const offer = await by.offer();
    await ended;
    const dialBack = await claim(running.rendezvousPort, offer.token);
    dialBack.write(Buffer.concat([Buffer.of(1), Buffer.from("served")]));
    t.is(String((await once(client, "data"))[0]), "served");
    client.destroy();
    dialBack.destroy();
  },
);

test.serial("a parked dial-back that dies with its client in hand: the client is offered at once", async (t) => {
  const { running, by, parked } = await parkedScene(t, 2);
  const client = await tcpClient(running.clientPort);
  client.write(await clientHello(serverName));
  const first = await Promise.race(parked.map(async (one) => one.given.then(() => one)));
  first.socket.resetAndDestroy();
  const offer = await by.offer();
  t.is(running.proxy.status().pooledDialBacks, 1, "no second one is tried with this client");
  const dialBack = await claim(running.rendezvousPort, offer.token);
  dialBack.write(Buffer.concat([Buffer.of(1), Buffer.from("served")]));
  t.is(String((await once(client, "data"))[0]), "served");
  client.destroy();
  dialBack.destroy();
});

test.serial(
  "what is parked beyond limits.pooledPerPrivateProxy, or beyond what was asked for, is closed",
  async (t) => {
    const { running, by, tokens } = await parkedScene(t, 2, { limits: { pooledPerPrivateProxy: 2 } });
    t.is(tokens.length, 4, "tokens for twice as many");
    const surplus = await tcpClient(running.rendezvousPort);
    surplus.write(encodePreface({ kind: "park", token: tokens[2]! }));
    await untilClosed(surplus);
    t.is(running.proxy.status().pooledDialBacks, 2);
    void by.askForPool(0);
    await until(() => running.proxy.status().pooledDialBacks === 0);
    t.deepEqual(running.proxy.status().refused, {}, "none of it is an offence");
  },
);

test.serial("a pool token fetches no client, parks once, and dies with its session", async (t) => {
  const { running, by, tokens, parked } = await parkedScene(t, 1);
  for (const [kind, token] of [
    ["claim", tokens[1]!],
    ["park", parked[0]!.token],
  ] as const) {
    const socket = await tcpClient(running.rendezvousPort);
    socket.write(encodePreface({ kind, token }));
    await untilClosed(socket);
  }
  t.like(running.proxy.status().refused, { token_misplaced: 1, token_late: 1 });
  const closed = untilClosed(parked[0]!.socket);
  await by.close();
  await closed;
  const late = await tcpClient(running.rendezvousPort);
  late.write(encodePreface({ kind: "park", token: tokens[1]! }));
  await untilClosed(late);
  t.like(running.proxy.status().refused, { token_late: 2 });
  t.is(running.proxy.status().pooledDialBacks, 0);
});

test.serial(
  "tokens that a private proxy has lost are replaced when it says so, and are worth nothing then",
  async (t) => {
    const running = await startPublic(t, certificates);
    const by = await scriptedPrivate(t, certificates, running, "private-proxy-1");
    const [lost] = await by.askForPool(1);
    const [fresh] = await by.askForPool(1, 0, true);
    const late = await tcpClient(running.rendezvousPort);
    late.write(encodePreface({ kind: "park", token: lost! }));
    await untilClosed(late);
    t.deepEqual(running.proxy.status().refused, { token_late: 1 }, "which is no offence");
    const [parked] = await parkByHand(running, [fresh!]);
    parked!.socket.destroy();
  },
);

test.serial("a parked dial-back grows no older than pool.maxAgeMs, and is replaced", async (t) => {
  const pair = await pairWith(t, { minIdle: 2, maxIdle: 2, maxAgeMs: 1500 });
  await untilPooled(pair, 2);
  await until(() => pooled(pair) < 2);
  await untilPooled(pair, 2);
  (await serve(t, pair.public.clientPort)).destroy();
});

test.serial(
  "with rendezvous.pooledWaitMs a client that finds none waits for the next one before it is offered",
  async (t) => {
    const { running, by, tokens, parked } = await parkedScene(t, 2, { rendezvous: { pooledWaitMs: 10_000 } });
    const hello = await clientHello(serverName);
    const clients = [await tcpClient(running.clientPort), await tcpClient(running.clientPort)];
    for (const client of clients) client.write(hello);
    await Promise.all(parked.map(({ given }) => given));
    const third = await tcpClient(running.clientPort);
    third.write(hello);
    await until(() => running.proxy.status().connections.opened === 3);
    // One at each worker, wherever the client waits.
    const more = await Promise.all(tokens.slice(2).map(() => tcpClient(running.rendezvousPort)));
    const given = Promise.race(more.map((socket) => once(socket, "data")));
    for (const [n, socket] of more.entries()) socket.write(encodePreface({ kind: "park", token: tokens[2 + n]! }));
    await given;
    t.is(by.offered, 0);
    for (const one of [...clients, third, ...more]) one.destroy();
  },
);

test.serial(
  "a client that queues at its target is waited for beyond rendezvous.attemptTimeoutMs, but not beyond deadlineMs",
  async (t) => {
    const times = { attemptTimeoutMs: 1000, deadlineMs: 3000 };
    const { running, by, parked } = await parkedScene(t, 1, { rendezvous: times });
    const begun = performance.now();
    const alert = tlsError(running.clientPort, certificates);
    await parked[0]!.given;
    by.queued(parked[0]!.token, 60_000);
    const closed = untilClosed(parked[0]!.socket);
    await closed;
    const waitedMs = performance.now() - begun;
    t.true(waitedMs >= 2900, `${waitedMs} ms`);
    t.is(await alert, alertErrors.internalError);
  },
);

test.serial(
  "a client that queues for all of deadlineMs is told that targets are full, and the pool stays: it was let go as if silent",
  async (t) => {
    const { running, by, parked } = await parkedScene(t, 3, { rendezvous: { attemptTimeoutMs: 300, deadlineMs: 900 } });
    const alert = tlsError(running.clientPort, certificates);
    const given = await Promise.race(parked.map(async (one) => one.given.then(() => one)));
    by.queued(given.token, 60_000);
    t.is(await alert, alertErrors.internalError);
    t.deepEqual(running.proxy.status().refused, { targets_full: 1 });
    t.is(running.proxy.status().pooledDialBacks, 2);
  },
);

for (const [case_, attemptTimeoutMs, left] of [
  ["no time", 600, 3],
  ["only a part of an attempt's time", 400, 2],
] as const) {
  test.serial(
    `a client that has ${case_} left for a second private proxy does not have all that one has parked let go`,
    async (t) => {
      const { running, by } = await parkedScene(t, 3, { rendezvous: { attemptTimeoutMs, deadlineMs: 600 } });
      by.announce(7, [serverName], [], { priority: 1 });
      const first = await scriptedPrivate(t, certificates, running, "private-proxy-1", undefined, "first");
      first.announce(1, [serverName]);
      await until(() => running.proxy.status().announcements.length === 2);
      t.is(await tlsError(running.clientPort, certificates), alertErrors.internalError);
      t.deepEqual(running.proxy.status().refused, { nobody_answered: 1 });
      t.is(first.offered, 1);
      t.is(running.proxy.status().pooledDialBacks, left);
    },
  );
}

test.serial(
  "a private proxy that stops or is lost leaves nothing parked, and one that comes back parks anew",
  async (t) => {
    const pair = await pairWith(t, { minIdle: 4, maxIdle: 4 });
    await untilPooled(pair, 4);
    const live = await serve(t, pair.public.clientPort);
    const stopped = pair.private.proxy.stop();
    await untilPooled(pair, 0);
    t.is(await ask(live, "still here"), "still here");
    live.destroy();
    await stopped;
  },
);

test.serial(
  "who attaches after a reload is told the attempt time of now: it was told that of the start, and declined too late",
  async (t) => {
    const running = await startPublic(t, certificates, { rendezvous: { attemptTimeoutMs: 3000 } });
    const before = await scriptedPrivate(t, certificates, running, "private-proxy-1");
    const { settings } = running;
    running.proxy.reconfigure({ ...settings, rendezvous: { ...settings.rendezvous, attemptTimeoutMs: 1000 } });
    const after = await scriptedPrivate(t, certificates, running, "private-proxy-1");
    t.deepEqual([before.welcome.attemptTimeoutMs, after.welcome.attemptTimeoutMs], [3000, 1000]);
  },
);

test.serial("pool.maxIdle 0 parks nothing", async (t) => {
  const pair = await pairWith(t, { minIdle: 0, maxIdle: 0, max: 0 });
  for (let n = 0; n < 5; n++) (await serve(t, pair.public.clientPort)).destroy();
  t.is(pooled(pair), 0);
  t.is(pair.private.proxy.status().pooledDialBacks, 0);
});

async function claim(port: number, token: Uint8Array) {
  const socket = await tcpClient(port);
  socket.write(encodePreface({ kind: "claim", token }));
  await once(socket, "data");
  return socket;
}
