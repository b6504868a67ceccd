import { once } from "node:events";
import type { Socket } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import test, { type ExecutionContext } from "ava";
import { encodePreface } from "../../src/rendezvous/preface.js";
import { encodeProxyV2 } from "../../src/rendezvous/proxy-v2-encode.js";
import { chooseEngine } from "../../src/transport/choose-engine.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { alertErrors, ask, clientHello, tcpClient, tlsClient, tlsError, untilClosed } from "../harness/clients.js";
import { echoServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { passOver } from "../harness/needs.js";
import { announced, type RunningPublic, startPair, startPublic } from "../harness/pair.js";
import { obedientEntries, plantFault } from "../harness/planted-faults.js";
import { scriptedPrivate } from "../harness/scripted-private.js";

// limits.perClientAddress and limits.perName: over all workers, until a connection has ended, whatever its end.

assertNothingLeft(test);

let certificates: TestCertificates;
let engine: Awaited<ReturnType<typeof chooseEngine>>;
test.before(async () => {
  certificates = await testCertificates();
  engine = await chooseEngine("auto");
});
test.after.always(() => certificates.remove());

type PublicChanges = NonNullable<Parameters<typeof startPublic>[2]>;

async function pairWithEcho(t: ExecutionContext, limits: PublicChanges["limits"], more: PublicChanges = {}) {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const target = { address: server.address, names: [serverName, otherName] };
  const pair = await startPair(t, certificates, [target], { public: { ...more, ...(limits && { limits }) } });
  const { clientPort } = pair.public;
  return {
    pair,
    running: pair.public,
    served: (options: ConnectionOptions = {}) => tlsClient(clientPort, certificates, options),
    refused: (options: ConnectionOptions = {}) => tlsError(clientPort, certificates, options),
  };
}

const otherName = "other.internal-server.local";
const from = (localAddress: string) => ({ localAddress }) as ConnectionOptions;

/** Resolves when so many connections have ended. */
function ended(running: RunningPublic, count: number): Promise<unknown> {
  const seen = () => running.log.lines.filter(({ message }) => message.startsWith("connection")).length;
  return running.log.line(() => seen() >= count);
}

function destroyAll(clients: readonly Socket[]): void {
  for (const client of clients) client.destroy();
}

test("one client address gets as many connections as perClientAddress says, and the next gets alert 80", async (t) => {
  const { running, served, refused } = await pairWithEcho(t, { perClientAddress: 3 });
  const clients = [await served(), await served(), await served({ servername: otherName })];
  t.is(await refused(), alertErrors.internalError);
  t.is(await refused({ servername: otherName }), alertErrors.internalError);
  t.deepEqual(running.proxy.status().refused, { client_address_full: 2 });
  const elsewhere = await served(from("127.0.0.2"));
  t.is(await ask(elsewhere, "from another address"), "from another address");
  clients.pop()!.destroy();
  await ended(running, 3);
  clients.push(await served());
  t.is(await refused(), alertErrors.internalError);
  destroyAll([...clients, elsewhere]);
});

test("one server name gets as many connections as perName says, however it is written", async (t) => {
  const { running, served, refused } = await pairWithEcho(t, { perName: 2 });
  const clients = [await served(), await served({ servername: serverName.toUpperCase(), ...from("127.0.0.2") })];
  t.is(await refused(from("127.0.0.3")), alertErrors.internalError);
  t.deepEqual(running.proxy.status().refused, { name_full: 1 });
  const line = await running.log.line(({ fields }) => fields.reason === "name_full");
  t.is(line.fields.serverName, serverName);
  clients.push(await served({ servername: otherName }));
  t.is(await ask(clients[0]!, "still served"), "still served");
  clients.shift()!.destroy();
  await ended(running, 2);
  clients.push(await served());
  destroyAll(clients);
});

test("many at once: a limit is passed by fewer than there are workers, and everybody is served or told", async (t) => {
  const max = 10;
  for (const limits of [{ perClientAddress: max }, { perName: max }]) {
    const { running, served } = await pairWithEcho(t, limits);
    const workers = Math.max(1, running.proxy.status().workers.length);
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => served()));
    const clients = outcomes.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    t.true(clients.length >= max && clients.length <= max + workers - 1, `${clients.length} served`);
    for (const one of outcomes) {
      if (one.status === "rejected") t.is((one.reason as NodeJS.ErrnoException).code, alertErrors.internalError);
    }
    const code = "perName" in limits ? "name_full" : "client_address_full";
    t.deepEqual(running.proxy.status().refused, { [code]: 50 - clients.length });
    destroyAll(clients);
  }
});

for (const limits of [{ perClientAddress: 1 }, { perName: 1 }]) {
  const [setting] = Object.keys(limits);
  test(`${setting}: the place of a connection is free again whatever its end`, async (t) => {
    const running = await startPublic(t, certificates, {
      limits,
      tls: { helloTimeoutMs: 1000 },
      rendezvous: { attemptTimeoutMs: 1000, deadlineMs: 1000, startupHoldMs: 0 },
    });
    const attached = await scriptedPrivate(t, certificates, running, "private-proxy-1");
    attached.announce(1, [serverName]);
    await announced(running, serverName);
    const hello = await clientHello(serverName);
    const nobodys = await clientHello("nobody.internal-server.local");

    /** Both ends of a splice. */
    async function spliced(): Promise<{ client: Socket; dialBack: Socket }> {
      const client = await tcpClient(running.clientPort);
      client.write(hello);
      const { token } = await attached.offer();
      const dialBack = await tcpClient(running.rendezvousPort);
      dialBack.write(Buffer.concat([encodePreface({ kind: "claim", token }), Buffer.from([1]), Buffer.from("answer")]));
      await Promise.all([once(client, "data"), once(dialBack, "data")]);
      return { client, dialBack };
    }
    async function send(bytes: Uint8Array): Promise<Buffer> {
      const client = await tcpClient(running.clientPort);
      client.write(bytes);
      return untilClosed(client);
    }

    const ends: Record<string, () => Promise<unknown>> = {
      async "FIN of both sides"() {
        const { client, dialBack } = await spliced();
        client.end();
        await once(dialBack, "end");
        dialBack.end();
        await once(client, "end");
      },
      async "RST of the client"() {
        const { client, dialBack } = await spliced();
        client.resetAndDestroy();
        await untilClosed(dialBack);
      },
      async "RST of the dial-back"() {
        const { client, dialBack } = await spliced();
        dialBack.resetAndDestroy();
        await untilClosed(client);
      },
      "what is no hello": () => send(Buffer.from("GET / HTTP/1.1\r\n\r\n")),
      "half a hello": () => send(hello.subarray(0, 100)),
      "a name that nobody announces": () => send(nobodys),
      async "a decline"() {
        const refusal = send(hello);
        attached.decline((await attached.offer()).token);
        await refusal;
      },
      async "an offer that nobody answers"() {
        const refusal = send(hello);
        await attached.offer();
        await refusal;
      },
      async "a client that leaves while it waits"() {
        const client = await tcpClient(running.clientPort);
        client.write(hello);
        await attached.offer();
        client.resetAndDestroy();
      },
    };
    let [lines, full] = [0, 0];
    for (const [how, end] of Object.entries(ends)) {
      await end();
      await ended(running, ++lines);
      const { client, dialBack } = await spliced();
      t.deepEqual(await send(hello), Buffer.from([21, 3, 3, 0, 2, 2, 80]), `the place is taken after ${how}`);
      const { refused } = running.proxy.status();
      t.is(refused.client_address_full ?? refused.name_full, ++full, how);
      client.destroy();
      dialBack.destroy();
      lines += 2;
      await ended(running, lines);
    }
    t.is(running.proxy.status().connections.live, 0);
  });
}

test("behind a load balancer it is the address in the PROXY header that counts, an IPv6 address with its /64", async (t) => {
  const running = await startPublic(t, certificates, {
    limits: { perClientAddress: 1 },
    tls: { acceptProxyProtocol: ["127.0.0.0/8"] },
  });
  const attached = await scriptedPrivate(t, certificates, running, "private-proxy-1");
  attached.announce(1, [serverName]);
  await announced(running, serverName);
  const hello = await clientHello(serverName);
  async function comesFrom(address: string): Promise<Socket> {
    const family = address.includes(":") ? "ipv6" : "ipv4";
    const source = { family, address, port: 40_000 } as const;
    const destination = { family, address: family === "ipv6" ? "2001:db8:1::1" : "198.51.100.1", port: 443 } as const;
    const client = await tcpClient(running.clientPort);
    client.write(Buffer.concat([encodeProxyV2({ source, destination }), hello]));
    return client;
  }
  const waiting: Socket[] = [];
  for (const address of ["203.0.113.7", "203.0.113.8", "2001:db8::1", "2001:db8:0:1::1"]) {
    waiting.push(await comesFrom(address));
    await attached.offer();
  }
  for (const address of ["203.0.113.7", "2001:db8::ffff"]) {
    t.deepEqual(await untilClosed(await comesFrom(address)), Buffer.from([21, 3, 3, 0, 2, 2, 80]));
  }
  t.deepEqual(running.proxy.status().refused, { client_address_full: 2 });
  destroyAll(waiting);
});

test("a reload switches limits on, off, up and down for new connections, and those that are there stay", async (t) => {
  const { running, served, refused } = await pairWithEcho(t, {});
  const announcing = await scriptedPrivate(t, certificates, running, "private-proxy-1");
  let reloads = 0;
  /** Once a name that came behind the settings is in force, so are they. */
  async function reload(limits: { perName?: number; perClientAddress?: number }): Promise<void> {
    running.proxy.reconfigure({ ...running.settings, limits: { ...running.settings.limits, ...limits } });
    const name = `reload-${++reloads}.internal-server.local`;
    announcing.announce(reloads, [name]);
    await announced(running, name);
  }
  const uncounted = [await served(), await served(), await served()];
  await reload({ perName: 2, perClientAddress: 2 });
  const counted = [await served(), await served()];
  t.is(await refused(), alertErrors.internalError);

  // Who was not counted leaves without a trace.
  destroyAll(uncounted);
  await ended(running, 4);
  t.is(await refused(), alertErrors.internalError);

  await reload({ perName: 1, perClientAddress: 1 });
  t.deepEqual(await Promise.all(counted.map((client) => ask(client, "still here"))), ["still here", "still here"]);
  counted.pop()!.destroy();
  await ended(running, 6);
  t.is(await refused(), alertErrors.internalError);

  await reload({ perName: 2, perClientAddress: 2 });
  counted.push(await served());
  t.is(await refused(), alertErrors.internalError);
  await reload({});
  const unlimited = [await served(), await served(), await served()];
  // Else the last one's handshake might not have gone out yet, and its server would wait for the rest of it.
  t.is(await ask(unlimited[2]!, "served"), "served");
  destroyAll([...counted, ...unlimited]);
  await ended(running, 13);
  t.is(running.proxy.status().connections.live, 0);

  await reload({ perName: 1, perClientAddress: 1 });
  const last = await served();
  t.is(await refused(), alertErrors.internalError);
  last.destroy();
});

test.serial("what a worker had that died counts no more, and what the others have still does", async (t) => {
  if (engine.engine !== "epoll") return passOver(t, `the epoll engine (${engine.why})`);
  const max = 20;
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(
    t,
    certificates,
    [{ address: server.address }],
    { public: { transport: { engine: "epoll", workers: 2 }, limits: { perClientAddress: max, perName: max } } },
    { public: obedientEntries.public },
  );
  const { clientPort, log, proxy } = pair.public;
  const living = new Set<TLSSocket>();
  const fill = async () => {
    while (living.size < max) {
      const client = await tlsClient(clientPort, certificates);
      living.add(client);
      client.once("close", () => living.delete(client));
    }
    t.is(await tlsError(clientPort, certificates), alertErrors.internalError);
  };
  await fill();
  const before = proxy.status().workers.map(({ live }) => live);
  t.true(before.every((live) => live > 0));
  const lost = [...living];
  plantFault({ worker: 0, what: "throw" });
  await log.line(({ message }) => message === "a data-plane worker has been replaced");
  while (lost.filter((client) => client.closed).length < before[0]!) await new Promise(setImmediate);
  t.is(living.size, before[1]!);
  await fill();
  t.is(proxy.status().connections.live, max);
  destroyAll([...living]);
});
