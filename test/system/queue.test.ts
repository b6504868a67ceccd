import { once } from "node:events";
import type { Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import { encodeProxyV2 } from "../../src/rendezvous/proxy-v2-encode.js";
import { decodeVerdict } from "../../src/rendezvous/verdict.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { alertErrors, ask, clientHello, tcpClient, tlsClient, tlsError, untilClosed } from "../harness/clients.js";
import { echoServer, plainServer, tlsServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { type Pair, type RunningPrivate, startPair, startPrivate } from "../harness/pair.js";
import { scriptedPublic } from "../harness/scripted-public.js";
import { until } from "../harness/until.js";

// Targets that take few connections, and the clients that wait for them.

assertNothingLeft(test);

let certificates: TestCertificates;
let hello: Buffer;
test.before(async () => {
  certificates = await testCertificates();
  hello = await clientHello(serverName);
});
test.after.always(() => certificates.remove());

type Targets = Parameters<typeof startPair>[2];

/** Three workers on the private side, so that one of them must be the owner. The public proxy has patience. */
function pairOf(t: ExecutionContext, targets: Targets, attemptTimeoutMs = 60_000): Promise<Pair> {
  return startPair(t, certificates, targets, {
    public: { rendezvous: { attemptTimeoutMs, deadlineMs: 60_000 } },
    private: { transport: { workers: 3 } },
  });
}

/** `LIVE QUEUED` of the first target. */
function loadOf(running: RunningPrivate): string {
  const { live, queued } = running.proxy.status().targets![0]!.queue!;
  return `${live} ${queued}`;
}

/** Counts the connections that are at a server, as the server's system sees them. */
function presence() {
  let now = 0;
  let most = 0;
  return {
    get most() {
      return most;
    },
    came(socket: Socket) {
      let here = true;
      now++;
      const gone = () => {
        if (here) now--;
        here = false;
      };
      socket.once("end", gone).once("close", gone);
      // In one turn the server may hear of a new connection before it hears that an old one has ended.
      setImmediate(() => {
        most = Math.max(most, now);
      });
    },
  };
}

/** Nobody waits too long on a busy machine. */
const longQueue = { max: 100, timeoutMs: 60_000 };

/** A server that tells by `proxyProtocol: v1` who came in which order, and answers nobody before `begin`. */
async function slowServer(t: ExecutionContext) {
  const order: number[] = [];
  const waiting: (() => void)[] = [];
  const present = presence();
  let begun = false;
  const server = await plainServer((socket) => {
    present.came(socket);
    socket.once("data", (head) => {
      order.push(Number(head.toString("latin1").split(" ")[4]));
      const serve = () => socket.end("served");
      if (begun) serve();
      else waiting.push(serve);
    });
    socket.on("end", () => socket.end());
  });
  t.teardown(() => server.close());
  return {
    address: server.address,
    order,
    /** Connections there were at once. */
    get most() {
      return present.most;
    },
    begin() {
      begun = true;
      for (const serve of waiting) serve();
    },
  };
}

/** A client that has said hello, and ends when it was answered or told off. */
async function comer(
  pair: Pair,
): Promise<{ readonly socket: Socket; readonly port: number; readonly answer: Promise<string> }> {
  const socket = await tcpClient(pair.public.clientPort);
  const port = socket.localPort!;
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.once("end", () => socket.end());
  const answer = once(socket, "close").then(() => Buffer.concat(chunks).toString("latin1"));
  socket.write(hello);
  return { socket, port, answer };
}

/** What an honest public proxy writes on a dial-back: the header, then the client's hello. */
function scriptedHeader(): Buffer {
  const header = encodeProxyV2({
    source: { family: "ipv4", address: "192.0.2.1", port: 1 },
    destination: { family: "ipv4", address: "192.0.2.2", port: 2 },
    connectionId: "scripted-1",
    announcementId: 1,
    serverName,
  });
  return Buffer.concat([header, hello]);
}

/** First in, first out. The first two are at the server together, and which of them it reads first is chance. */
function cameInOrder(
  t: ExecutionContext,
  order: readonly number[],
  comers: readonly { readonly port: number }[],
): void {
  const ports = comers.map(({ port }) => port);
  t.deepEqual(order.slice(0, 2).sort(), ports.slice(0, 2).sort());
  t.deepEqual(order.slice(2), ports.slice(2));
}

test.serial(
  "of 50 clients no more than two are at the target at once, all are served, in the order in which they came",
  async (t) => {
    const server = await slowServer(t);
    const pair = await pairOf(t, [
      { address: server.address, maxConnections: 2, proxyProtocol: "v1", queue: longQueue },
    ]);
    const comers = [];
    for (let i = 1; i <= 50; i++) {
      comers.push(await comer(pair));
      await until(() => loadOf(pair.private) === `${Math.min(2, i)} ${Math.max(0, i - 2)}`);
    }
    server.begin();
    t.deepEqual(new Set(await Promise.all(comers.map(({ answer }) => answer))), new Set(["served"]));
    cameInOrder(t, server.order, comers);
    t.is(server.most, 2);
    await until(() => loadOf(pair.private) === "0 0");
    t.deepEqual([pair.public.proxy.status().refused, pair.private.proxy.status().refused], [{}, {}]);
  },
);

test.serial("a client may wait in the queue for longer than a private proxy may be silent", async (t) => {
  const server = await slowServer(t);
  const attemptTimeoutMs = 500;
  const pair = await pairOf(t, [{ address: server.address, maxConnections: 1, proxyProtocol: "v1" }], attemptTimeoutMs);
  const first = await comer(pair);
  await until(() => loadOf(pair.private) === "1 0");
  const begun = performance.now();
  const second = await comer(pair);
  await until(() => performance.now() - begun > 3 * attemptTimeoutMs);
  t.is(loadOf(pair.private), "1 1");
  server.begin();
  t.deepEqual([await first.answer, await second.answer], ["served", "served"]);
  t.deepEqual(pair.public.proxy.status().refused, {});
});

test.serial("50 TLS clients in one instant are all served by a server that takes two", async (t) => {
  const present = presence();
  const server = await tlsServer(certificates, (socket) => {
    present.came(socket);
    socket.pipe(socket);
  });
  t.teardown(() => server.close());
  const pair = await pairOf(t, [{ address: server.address, maxConnections: 2, queue: longQueue }]);
  const asked = Array.from({ length: 50 }, async (_, i) => {
    const client = await tlsClient(pair.public.clientPort, certificates);
    const answer = await ask(client, `client ${i}`);
    client.end();
    await once(client, "close");
    return answer;
  });
  t.deepEqual(
    await Promise.all(asked),
    asked.map((_, i) => `client ${i}`),
  );
  t.true(present.most <= 2, `${present.most}`);
  t.deepEqual(pair.public.proxy.status().refused, {});
});

test.serial(
  "who finds no place within the queue's time gets alert 80, with a reason of its own on either side",
  async (t) => {
    const server = await echoServer(certificates);
    t.teardown(() => server.close());
    const queue = { max: 1, timeoutMs: 400 };
    const pair = await pairOf(t, [{ address: server.address, maxConnections: 1, queue }]);
    const first = await tlsClient(pair.public.clientPort, certificates);
    t.is(await ask(first, "first"), "first");
    const begun = performance.now();
    const late = tlsError(pair.public.clientPort, certificates);
    await until(() => loadOf(pair.private) === "1 1");
    t.is(await tlsError(pair.public.clientPort, certificates), alertErrors.internalError, "the queue is full");
    t.is(await late, alertErrors.internalError);
    t.true(performance.now() - begun >= 390);
    t.is(loadOf(pair.private), "1 0");
    t.deepEqual(pair.public.proxy.status().refused, { targets_full: 2 });
    t.deepEqual(pair.private.proxy.status().refused, { target_queue_full: 1, target_queue_timeout: 1 });
    t.is(await ask(first, "still"), "still");
    first.destroy();
  },
);

test.serial(
  "a client that leaves while it waits frees its place in the queue at once, and never reaches the target",
  async (t) => {
    const server = await slowServer(t);
    const queue = { max: 1, timeoutMs: 60_000 };
    const pair = await pairOf(t, [{ address: server.address, maxConnections: 1, proxyProtocol: "v1", queue }]);
    const first = await comer(pair);
    await until(() => loadOf(pair.private) === "1 0");
    for (const leave of ["destroy", "resetAndDestroy"] as const) {
      const leaving = await comer(pair);
      await until(() => loadOf(pair.private) === "1 1");
      leaving.socket[leave]();
      await until(() => loadOf(pair.private) === "1 0");
    }
    const third = await comer(pair);
    await until(() => loadOf(pair.private) === "1 1");
    server.begin();
    t.deepEqual([await first.answer, await third.answer], ["served", "served"]);
    t.deepEqual(server.order, [first.port, third.port]);
    t.is(pair.public.proxy.status().refused.client_left, 2);
    t.is(pair.private.proxy.status().connections.opened, 4);
  },
);

test.serial(
  "a target that dies while clients wait for it: each is told when its turn comes, and nobody is left",
  async (t) => {
    const server = await echoServer(certificates);
    const pair = await pairOf(t, [{ address: server.address, maxConnections: 1, queue: longQueue }]);
    const first = await tlsClient(pair.public.clientPort, certificates);
    const late = Array.from({ length: 5 }, () => tlsError(pair.public.clientPort, certificates));
    await until(() => loadOf(pair.private) === "1 5");
    await server.close();
    t.deepEqual(new Set(await Promise.all(late)), new Set([alertErrors.internalError]));
    await until(() => loadOf(pair.private) === "0 0");
    t.deepEqual(pair.public.proxy.status().refused, { all_declined: 5 });
    t.deepEqual(pair.private.proxy.status().refused, { target_unreachable: 5 });
    first.destroy();
  },
);

test.serial(
  "a reload that raises the cap lets in those who wait, and one that lowers it sends nobody away",
  async (t) => {
    const server = await slowServer(t);
    const target = { address: server.address, maxConnections: 2, proxyProtocol: "v1" as const, queue: longQueue };
    const pair = await pairOf(t, [target]);
    const comers = [];
    for (let i = 1; i <= 6; i++) {
      comers.push(await comer(pair));
      await until(() => loadOf(pair.private) === `${Math.min(2, i)} ${Math.max(0, i - 2)}`);
    }
    const { proxy, settings } = pair.private;
    const reload = (maxConnections: number) =>
      proxy.reconfigure({ ...settings, targets: settings.targets.map((one) => ({ ...one, maxConnections })) });
    reload(4);
    await until(() => server.order.length === 4);
    t.is(loadOf(pair.private), "4 2");
    reload(1);
    server.begin();
    await Promise.all(comers.map(({ answer }) => answer));
    t.is(server.order.length, 6);
    t.is(server.most, 4);
    t.deepEqual(pair.public.proxy.status().refused, {});
  },
);

test.serial(
  "who waits outlasts its offer, of which the public proxy is told; and ends with its dial-back, or with the offer",
  async (t) => {
    const server = await slowServer(t);
    const target = { address: server.address, maxConnections: 1, connectTimeoutMs: 1000 };
    const queue = { max: 9, timeoutMs: 2200 };
    const scripted = await scriptedPublic(t, certificates);
    const running = await startPrivate(t, certificates, [scripted.mesh], [{ ...target, queue }], {
      transport: { workers: 3 },
    });
    await scripted.attached();
    scripted.welcome();
    t.is((await scripted.message()).type, "announce");
    const offers = Array.from({ length: 4 }, (_, i) => scripted.offer({ msLeft: 1500, connectionId: `scripted-${i}` }));
    const dialBacks: Socket[] = [];
    let begun = 0;
    for (const [i, offer] of offers.entries()) {
      begun = performance.now();
      scripted.link.send({ type: "offers", offers: [offer] });
      dialBacks.push(await scripted.dialBack());
      if (i > 0) t.deepEqual(await scripted.message(), { type: "queued", token: offer.token, msLeft: 3200 });
      dialBacks[i]!.write(scriptedHeader());
    }
    const [first, closed, , last] = dialBacks;
    t.is(decodeVerdict(((await once(first!, "data")) as [Buffer])[0][0]!), "taken");
    t.is(loadOf(running), "1 3");
    closed!.destroy();
    await until(() => loadOf(running) === "1 2");
    scripted.link.send({ type: "cancelOffer", token: offers[2]!.token });
    await until(() => loadOf(running) === "1 1");
    const verdict = await untilClosed(last!);
    t.is(decodeVerdict(verdict[0]!), "target_full");
    t.true(performance.now() - begun >= 2190, "longer than the offer was good for");
    t.is(loadOf(running), "1 0");
    await until(() => running.proxy.status().refused.target_queue_timeout === 1);
    t.deepEqual(running.proxy.status().refused, { offer_cancelled: 2, target_queue_timeout: 1 });
    first!.destroy();
    await until(() => loadOf(running) === "0 0");
  },
);

test.serial(
  "a client that one declines for want of a place goes to the next, and is told of full targets only where all are",
  async (t) => {
    const server = await echoServer(certificates);
    t.teardown(() => server.close());
    const full = { maxConnections: 1, queue: { max: 0, timeoutMs: 1 } };
    const pair = await pairOf(t, [{ address: server.address, ...full }]);
    const { clientPort, proxy, log, mesh } = pair.public;
    const joins = async (name: string, target: Targets[number]) => {
      await startPrivate(t, certificates, [mesh], [target], { name });
      await log.line(({ message, fields }) => message === "name announced" && fields.privateProxy === name);
    };
    const held = await tlsClient(clientPort, certificates);
    t.is(await tlsError(clientPort, certificates), alertErrors.internalError);
    t.deepEqual(proxy.status().refused, { targets_full: 1 });
    await joins("other", { address: server.address, ...full });
    const second = await tlsClient(clientPort, certificates);
    t.is(await tlsError(clientPort, certificates), alertErrors.internalError);
    t.deepEqual(proxy.status().refused, { targets_full: 2 });
    const line = await log.line(
      ({ fields }) => fields.reason === "targets_full" && String(fields.detail).includes("other"),
    );
    t.deepEqual(String(line.fields.detail).split(", ").toSorted(), [
      "other: target_full",
      "private-proxy-1: target_full",
    ]);
    await joins("broken", { address: { kind: "unix", path: "/nowhere/target.sock" } });
    t.is(await tlsError(clientPort, certificates), alertErrors.internalError);
    t.deepEqual(proxy.status().refused, { targets_full: 2, all_declined: 1 });
    for (const client of [held, second]) client.destroy();
  },
);

test.serial(
  "a client that comes with a parked dial-back stands in the same queue, and waits beyond attemptTimeoutMs",
  async (t) => {
    const server = await slowServer(t);
    const target = { address: server.address, maxConnections: 2, proxyProtocol: "v1" as const, queue: longQueue };
    const pair = await startPair(t, certificates, [target], {
      public: { rendezvous: { attemptTimeoutMs: 1000, deadlineMs: 30_000 } },
      private: { transport: { workers: 3 }, pool: { minIdle: 6, maxIdle: 6 } },
    });
    const parked = () => pair.public.proxy.status().pooledDialBacks;
    await until(() => parked() === 6);
    const comers: Awaited<ReturnType<typeof comer>>[] = [];
    for (let n = 1; n <= 12; n++) {
      comers.push(await comer(pair));
      await until(() => loadOf(pair.private) === `${Math.min(n, 2)} ${Math.max(0, n - 2)}`);
    }
    const begun = performance.now();
    await until(() => performance.now() - begun > 1500);
    t.is(loadOf(pair.private), "2 10", "nobody has been given up");
    server.begin();
    const answers = await Promise.all(comers.map(({ answer }) => answer));
    t.deepEqual(new Set(answers), new Set(["served"]));
    cameInOrder(t, server.order, comers);
    t.is(server.most, 2);
  },
);
