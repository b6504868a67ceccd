import { once } from "node:events";
import { connect, type Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import type { BalanceMethod } from "../../src/balance/method.js";
import { requestAdmin, samplesOf } from "../harness/admin-requests.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { clientHello } from "../harness/clients.js";
import { plainServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { type RunningPublic, startPrivate, startPublic } from "../harness/pair.js";
import { freePorts, type ProxyProcess, ready, runProxyProcess } from "../harness/processes.js";
import { type ServingPrivate, servingPrivate } from "../harness/serving-private.js";
import { engineUnderTest } from "../harness/settings.js";

// Several private proxies behind one name. Who serves is told by what the client is answered.

assertNothingLeft(test);

let certificates: TestCertificates;
let hello: Buffer;
test.before(async () => {
  certificates = await testCertificates();
  hello = await clientHello(serverName);
});
test.after.always(() => certificates.remove());

interface Served {
  readonly socket: Socket;
  /** What it was answered first; empty where the connection ended without an answer. */
  readonly by: string;
  readonly ms: number;
}

/** A client that has said its hello and been answered. */
async function served(port: number, localAddress = "127.0.0.1"): Promise<Served> {
  const started = performance.now();
  const socket = connect({ host: "127.0.0.1", port, localAddress });
  socket.on("error", () => {});
  socket.write(hello);
  const by = await new Promise<string>((resolve) => {
    socket.once("data", (bytes) => resolve(bytes[0] === 21 ? "" : bytes.toString()));
    socket.once("close", () => resolve(""));
  });
  return { socket, by, ms: performance.now() - started };
}

/** Who serves a client, which leaves again. */
async function askedOnce(port: number, localAddress?: string): Promise<string> {
  const { socket, by } = await served(port, localAddress);
  const closed = once(socket, "close");
  socket.end();
  if (!socket.closed) await closed;
  return by;
}

/** Clients come one after another until this one serves one of them: within ten seconds. */
async function servedBy(port: number, name: string): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while ((await askedOnce(port)) !== name) {
    if (performance.now() > giveUpAt) throw new Error(`${name} serves nobody`);
  }
}

/** How many of `clients` each one serves, so many of them at once. */
async function shares(port: number, clients: number, atOnce: number): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  let left = clients;
  const oneAfterAnother = async () => {
    while (left-- > 0) {
      const by = await askedOnce(port);
      counts.set(by, (counts.get(by) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, oneAfterAnother));
  return counts;
}

function isShare(t: ExecutionContext, counts: ReadonlyMap<string, number>, name: string, wanted: number): void {
  const count = counts.get(name) ?? 0;
  t.true(Math.abs(count - wanted) <= wanted / 10, `${[...counts].join(" ")}, wanted ${wanted} for ${name}`);
}

function publicWith(t: ExecutionContext, balance: BalanceMethod, attemptTimeoutMs = 3000): Promise<RunningPublic> {
  return startPublic(t, certificates, {
    grants: [{ identity: "private-proxy-1", names: [serverName], balance }],
    rendezvous: { attemptTimeoutMs },
  });
}

const start = (t: ExecutionContext, running: RunningPublic, name: string, more = {}): Promise<ServingPrivate> =>
  servingPrivate(t, certificates, running, { name, ...more });

for (const [weight, share] of [
  [1, 500],
  [3, 750],
] as const) {
  for (const [atOnce, maxIdle] of [
    [1, 0],
    [20, 0],
    [20, 8],
  ] as const) {
    test.serial(
      `two private proxies, ${weight}:1 by their settings: shares of 1,000 connections, ${atOnce} at once, ${maxIdle} dial-backs parked, within 10 %`,
      async (t) => {
        const running = await publicWith(t, "least-connections");
        for (const [name, its] of [
          ["one", weight],
          ["two", 1],
        ] as const) {
          const server = await plainServer((socket) => socket.once("data", () => socket.end(name)));
          t.teardown(() => server.close());
          const target = { address: server.address, weight: its };
          await startPrivate(t, certificates, [running.mesh], [target], { name, pool: { maxIdle } });
          await running.log.line(({ message, fields }) => message === "name announced" && fields.privateProxy === name);
        }
        const counts = await shares(running.clientPort, 1000, atOnce);
        isShare(t, counts, "one", share);
        isShare(t, counts, "two", 1000 - share);
      },
    );
  }
}

for (const method of ["least-connections", "round-robin"] as const) {
  for (const atOnce of [1, 20]) {
    test.serial(`${method}: weights of 3:1 and 1,000 connections, ${atOnce} at once: shares within 10 %`, async (t) => {
      const running = await publicWith(t, method);
      await start(t, running, "heavy", { weight: 3 });
      await start(t, running, "light");
      const counts = await shares(running.clientPort, 1000, atOnce);
      isShare(t, counts, "heavy", 750);
      isShare(t, counts, "light", 250);
    });
  }
}

test.serial("least-connections: connections that stay are shared 3:1 too", async (t) => {
  const running = await publicWith(t, "least-connections");
  await start(t, running, "heavy", { weight: 3 });
  await start(t, running, "light");
  const clients: Served[] = [];
  while (clients.length < 200) {
    clients.push(...(await Promise.all(Array.from({ length: 10 }, () => served(running.clientPort)))));
  }
  const counts = new Map<string, number>();
  for (const { by } of clients) counts.set(by, (counts.get(by) ?? 0) + 1);
  isShare(t, counts, "heavy", 150);
  isShare(t, counts, "light", 50);
  for (const { socket } of clients) socket.destroy();
});

test.serial("bug: clients that arrived together all went to whoever had one connection less just then", async (t) => {
  const running = await publicWith(t, "least-connections");
  await start(t, running, "one");
  await start(t, running, "two");
  const clients = [await served(running.clientPort)];
  clients.push(...(await Promise.all(Array.from({ length: 59 }, () => served(running.clientPort)))));
  const toOne = clients.filter(({ by }) => by === "one").length;
  t.true(Math.abs(toOne - 30) <= 2, `${toOne} of ${clients.length}`);
  for (const { socket } of clients) socket.destroy();
});

test.serial("random-two: everybody has a part, and the busy one no more than the others", async (t) => {
  const running = await publicWith(t, "random-two");
  for (const name of ["one", "two", "three"]) await start(t, running, name);
  const clients = await Promise.all(Array.from({ length: 90 }, () => served(running.clientPort)));
  const counts = ["one", "two", "three"].map((name) => clients.filter(({ by }) => by === name).length);
  t.true(Math.min(...counts) >= 15, counts.join(" "));
  for (const { socket } of clients) socket.destroy();
});

test.serial(
  "source-ip: a client stays with its private proxy; of ten one leaves, and only its own clients move; restarted it has them again",
  async (t) => {
    const running = await publicWith(t, "source-ip");
    const names = Array.from({ length: 10 }, (_, at) => `private-${at}`);
    const proxies = new Map<string, ServingPrivate>();
    for (const name of names) proxies.set(name, await start(t, running, name));
    const clients = Array.from({ length: 60 }, (_, at) => `127.0.1.${at + 1}`);
    const owners = async () => {
      const found = new Map<string, string>();
      await Promise.all(clients.map(async (ip) => found.set(ip, await askedOnce(running.clientPort, ip))));
      return clients.map((ip) => found.get(ip)!);
    };
    const before = await owners();
    t.true(new Set(before).size >= 8, before.join(" "));
    t.deepEqual(await owners(), before);

    const leaving = before[0]!;
    await proxies.get(leaving)!.close();
    const without = await owners();
    for (const [at, owner] of before.entries()) {
      if (owner === leaving) t.not(without[at], leaving);
      else t.is(without[at], owner);
    }
    await start(t, running, leaving);
    t.deepEqual(await owners(), before);
  },
);

test.serial("source-ip: where a load balancer sends the PROXY header, the address in it counts", async (t) => {
  const running = await startPublic(t, certificates, {
    grants: [{ identity: "private-proxy-1", names: [serverName], balance: "source-ip" }],
    tls: { acceptProxyProtocol: ["127.0.0.1"] },
  });
  for (const name of ["one", "two", "three"]) await start(t, running, name);
  const ask = async (ip: string) => {
    const socket = connect({ host: "127.0.0.1", port: running.clientPort });
    socket.write(Buffer.concat([Buffer.from(`PROXY TCP4 ${ip} 192.0.2.1 50000 443\r\n`), hello]));
    const [answer] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    return answer.toString();
  };
  const ips = Array.from({ length: 30 }, (_, at) => `198.51.100.${at}`);
  const owners = await Promise.all(ips.map(ask));
  t.is(new Set(owners).size, 3);
  t.deepEqual(await Promise.all(ips.map(ask)), owners);
});

test.serial("a passive private proxy serves only while the active one is away", async (t) => {
  const running = await publicWith(t, "least-connections");
  await start(t, running, "passive", { priority: 1, weight: 1000 });
  const active = await start(t, running, "active");
  t.deepEqual([...(await shares(running.clientPort, 20, 4)).keys()], ["active"]);
  await active.close();
  t.is(await askedOnce(running.clientPort), "passive");
  await start(t, running, "active");
  t.deepEqual([...(await shares(running.clientPort, 20, 4)).keys()], ["active"]);
});

test.serial("a weight or priority announced anew takes effect, and fails no client meanwhile", async (t) => {
  const running = await publicWith(t, "least-connections");
  const one = await start(t, running, "one");
  const counts = shares(running.clientPort, 200, 2);
  for (let priority = 0; priority < 50; priority++) {
    one.announce({ priority });
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.deepEqual([...(await counts)], [["one", 200]]);
  await start(t, running, "two");
  t.deepEqual([...(await shares(running.clientPort, 20, 2)).keys()], ["two"]);
  one.announce({ weight: 3 });
  await servedBy(running.clientPort, "one");
  isShare(t, await shares(running.clientPort, 400, 4), "one", 300);
});

test.serial("another way of balancing is in force as soon as the settings are reloaded", async (t) => {
  const running = await publicWith(t, "round-robin");
  await start(t, running, "one");
  await start(t, running, "two");
  isShare(t, await shares(running.clientPort, 100, 1), "one", 50);
  const { settings } = running;
  const grants = settings.grants.map((grant) => ({ ...grant, balance: "source-ip" as const }));
  running.proxy.reconfigure({ ...settings, grants });
  // Told to the data planes before what is accepted after it.
  await start(t, running, "three");
  t.is((await shares(running.clientPort, 50, 5)).size, 1);
});

test.serial(
  "who cannot reach its target is asked once, then left alone for a while, and comes back by itself",
  async (t) => {
    const running = await publicWith(t, "round-robin");
    const broken = await start(t, running, "broken");
    await start(t, running, "whole");
    broken.become("declines");
    const started = performance.now();
    const counts = await shares(running.clientPort, 60, 1);
    t.is(counts.get("whole"), 60);
    // Two workers learn it each for itself; the first pause is one second, and the second one two.
    const seconds = (performance.now() - started) / 1000;
    t.true(broken.offers <= 2 * (1 + seconds), `${broken.offers} offers in ${seconds.toFixed(1)} s`);
    broken.become("serving");
    await servedBy(running.clientPort, "broken");
  },
);

test.serial("where everybody is to be avoided everybody is asked all the same", async (t) => {
  const running = await publicWith(t, "least-connections");
  const one = await start(t, running, "one");
  one.become("declines");
  for (let i = 0; i < 10; i++) t.is(await askedOnce(running.clientPort), "");
  t.is(one.offers, 10);
  one.become("serving");
  t.is(await askedOnce(running.clientPort), "one");
});

test.serial("who is silent on the data path alone answers the ping, and is asked again after its pause", async (t) => {
  const running = await publicWith(t, "least-connections", 500);
  const silent = await start(t, running, "silent");
  const other = await start(t, running, "other", { priority: 1 });
  silent.become("silent");
  t.is(await askedOnce(running.clientPort), "other");
  t.is(silent.offers, 1);
  silent.become("serving");
  await servedBy(running.clientPort, "silent");
  t.true(other.offers > 0);
});

test.serial(
  "private proxies that have as many clients as they may get no more, and the next client is told so",
  async (t) => {
    const running = await startPublic(t, certificates, { limits: { perPrivateProxy: 2 } });
    await start(t, running, "one");
    await start(t, running, "two");
    const clients: Served[] = [];
    for (let i = 0; i < 4; i++) clients.push(await served(running.clientPort));
    t.deepEqual(clients.map(({ by }) => by).sort(), ["one", "one", "two", "two"]);
    t.is((await served(running.clientPort)).by, "");
    t.is(running.proxy.status().refused.private_proxies_full, 1);
    const [leaves] = clients;
    leaves!.socket.end();
    await servedBy(running.clientPort, leaves!.by);
    for (const { socket } of clients) socket.destroy();
  },
);

interface Crowd {
  readonly publicProxy: ProxyProcess;
  readonly victim: ProxyProcess;
  readonly port: number;
}

const attemptTimeoutMs = 1500;

/** A public proxy and two private ones, `victim` and `other`, in processes of their own; servers say who they are behind. */
async function crowd(t: ExecutionContext, parked = 0): Promise<Crowd> {
  const [tls, rendezvous, mesh, admin] = await freePorts(4);
  const publicProxy = runProxyProcess(t, "public", {
    name: "public-proxy",
    tls: { listen: `127.0.0.1:${tls}` },
    rendezvous: { listen: `127.0.0.1:${rendezvous}`, attemptTimeoutMs },
    mesh: {
      listen: `127.0.0.1:${mesh}`,
      ...certificates.files("public-proxy-1"),
      // What hangs is not to be taken for dead while the test lasts.
      keepalive: { intervalMs: 30_000, timeoutMs: 30_000 },
    },
    admin: { listen: `127.0.0.1:${admin}` },
    grants: [{ identity: "private-proxy-1", names: [serverName] }],
    transport: engineUnderTest(),
  });
  await ready(publicProxy);
  const startPrivateNamed = async (name: string) => {
    const server = await plainServer((socket) => {
      socket.once("data", () => socket.write(name));
      socket.on("end", () => socket.end());
    });
    t.teardown(() => server.close());
    const started = runProxyProcess(t, "private", {
      name,
      mesh: {
        publics: [`127.0.0.1:${mesh}`],
        ...certificates.files("private-proxy-1"),
        keepalive: { intervalMs: 30_000, timeoutMs: 30_000 },
      },
      targets: [{ names: [serverName], address: `127.0.0.1:${server.port}` }],
      pool: { minIdle: parked },
      transport: engineUnderTest(),
    });
    await publicProxy.line((line) => line.msg === "name announced" && line.privateProxy === name);
    return started;
  };
  const victim = await startPrivateNamed("victim");
  await startPrivateNamed("other");
  for (let counted = -1; counted !== 2 * parked; ) {
    const { text } = await requestAdmin(`127.0.0.1:${admin}`, "/metrics");
    counted = samplesOf(text).get("proxy_pooled_dialbacks") ?? -1;
  }
  return { publicProxy, victim, port: tls! };
}

for (const parked of [0, 4]) {
  test.serial(
    `one of two private proxies is killed under load, ${parked} dial-backs of each parked: only what went through it breaks, and every new client is served`,
    async (t) => {
      const { publicProxy, victim, port } = await crowd(t, parked);
      const living = await Promise.all(Array.from({ length: 40 }, () => served(port)));
      const broken = new Set<Served>();
      for (const client of living) client.socket.once("close", () => broken.add(client));
      const throughVictim = living.filter(({ by }) => by === "victim");
      t.true(throughVictim.length >= 10 && throughVictim.length <= 30, `${throughVictim.length}`);

      let killed = false;
      let after = 0;
      const load = Array.from({ length: 8 }, async () => {
        while (after < 300) {
          const isNew = killed;
          const by = await askedOnce(port);
          if (!isNew) continue;
          after++;
          t.not(by, "");
        }
      });
      await askedOnce(port);
      victim.kill("SIGKILL");
      await victim.exited;
      killed = true;
      await Promise.all(load);
      await publicProxy.line((line) => line.msg === "private proxy detached");
      const open = living.filter(({ by }) => by === "other");
      for (const { socket } of throughVictim) if (!socket.closed) await once(socket, "close");
      t.deepEqual([...broken].map(({ by }) => by).sort(), throughVictim.map(({ by }) => by).sort());
      for (const { socket } of open) {
        t.false(socket.closed);
        socket.destroy();
      }
    },
  );
}

for (const parked of [0, 4]) {
  test.serial(
    `one of two private proxies hangs, ${parked} dial-backs of each parked: clients are served by the other within attemptTimeoutMs, then at once; it comes back and takes part again`,
    async (t) => {
      const { victim, port } = await crowd(t, parked);
      victim.kill("SIGSTOP");
      const first = await Promise.all(Array.from({ length: 20 }, () => served(port)));
      for (const { socket, by, ms } of first) {
        t.is(by, "other");
        t.true(ms < attemptTimeoutMs + 500, `${ms.toFixed(0)} ms`);
        socket.destroy();
      }
      // Longer than the first two pauses, so that nobody is sent to it to find out.
      const until = performance.now() + 3500;
      let slowest = 0;
      while (performance.now() < until) {
        const { socket, by, ms } = await served(port);
        t.is(by, "other");
        slowest = Math.max(slowest, ms);
        socket.destroy();
      }
      t.true(slowest < attemptTimeoutMs / 2, `${slowest.toFixed(0)} ms`);

      victim.kill("SIGCONT");
      const continued = performance.now();
      while ((await askedOnce(port)) !== "victim") t.true(performance.now() - continued < 10_000);
      const counts = await shares(port, 100, 4);
      t.true((counts.get("victim") ?? 0) >= 25 && (counts.get("other") ?? 0) >= 25, [...counts].join(" "));
    },
  );
}
