import test from "ava";
import { deadlineIn, msLeft } from "../../src/base/deadline.js";
import { ProxyError } from "../../src/base/errors.js";
import type { ServerFacts, TargetFacts } from "../../src/private/messages.js";
import { reachServer } from "../../src/private/reaching.js";
import {
  clearServers,
  createServerBoard,
  createServerLoads,
  readConnections,
  type ServerLoads,
} from "../../src/private/server-loads.js";
import { createTargets, type Target } from "../../src/private/targets.js";
import type { ResolvedAddress, Transport } from "../../src/transport/transport.js";
import { fakeEndpoint } from "./fake-endpoint.js";

const resolved = (ip: string): ResolvedAddress => ({ kind: "tcp", ip, port: 1 });

function facts(servers: readonly (Partial<ServerFacts> & { address: string })[], id = 1, more: object = {}) {
  return {
    announcementId: id,
    patterns: ["*"],
    address: servers.map(({ address }) => address).join(", "),
    balance: "least-connections",
    servers: servers.map((server, slot) => ({ slot, resolved: [resolved(server.address)], up: true, ...server })),
    proxyProtocol: "none",
    startTls: "none",
    connectTimeoutMs: 1000,
    ...more,
  } satisfies TargetFacts as TargetFacts;
}

const offer = { announcementId: 1, serverName: undefined } as never;

function targetOf(loads: ServerLoads, target: TargetFacts): Target {
  const targets = createTargets(loads);
  targets.replace([target]);
  return targets.of(offer);
}

/** Dials for one client after the other; addresses listed as `refused` refuse. Says which were tried. */
function dialler(target: Target, loads: ServerLoads, refused: readonly string[] = []) {
  const transport = {
    connect(address: ResolvedAddress) {
      const ip = address.kind === "tcp" ? address.ip : address.path;
      const connected = refused.includes(ip)
        ? Promise.reject(new ProxyError("connect_refused", ip))
        : Promise.resolve(fakeEndpoint());
      return { connected, cancel() {} };
    },
  } as unknown as Transport;
  return async (client = "192.0.2.1:1", ms = 1000) => {
    const tried: string[] = [];
    const reaching = reachServer(transport, {
      target,
      client,
      deadline: deadlineIn(ms, "connect_timeout"),
      loadOf: loads.of,
      trying(server) {
        tried.push(server.address);
        loads.count(server, 1);
      },
    });
    await reaching.connected;
    return tried;
  };
}

const single = () => createServerLoads(createServerBoard(1), 0);

test("with least-connections clients that stay are shared out evenly", async (t) => {
  const loads = single();
  const target = targetOf(loads, facts([{ address: "a" }, { address: "b" }, { address: "c" }]));
  const dial = dialler(target, loads);
  for (let i = 0; i < 30; i++) await dial();
  t.deepEqual(
    target.servers.map((server) => loads.of(server)),
    [10, 10, 10],
  );
});

test("one that refuses is passed over, and the next one has the client", async (t) => {
  const loads = single();
  const servers = [{ address: "a" }, { address: "b" }, { address: "c" }];
  const dial = dialler(targetOf(loads, facts(servers, 1, { balance: "round-robin" })), loads, ["a", "b"]);
  for (let i = 0; i < 9; i++) t.is((await dial()).at(-1), "c");
  const all = await Promise.all(Array.from({ length: 9 }, () => dial()));
  t.true(all.some((tried) => tried.length === 3));
  for (const tried of all) t.is(new Set(tried).size, tried.length, "none is tried twice for one client");
});

test("one that is down is not tried, and where all are the target is unreachable", async (t) => {
  const loads = single();
  const dial = dialler(targetOf(loads, facts([{ address: "a", up: false }, { address: "b" }])), loads);
  for (let i = 0; i < 9; i++) t.deepEqual(await dial(), ["b"]);
  const down = dialler(targetOf(loads, facts([{ address: "a", up: false }])), loads);
  await t.throwsAsync(down(), { code: "target_unreachable", message: /target a is down/ });
});

test("with source-ip a client stays with its server, and when that is down goes to the same other one each time", async (t) => {
  const loads = single();
  const servers = ["a", "b", "c", "d"];
  const all = facts(
    servers.map((address) => ({ address })),
    1,
    { balance: "source-ip" },
  );
  const client = (i: number) => `198.51.100.${i}:${1000 + i}`;
  const dial = dialler(targetOf(loads, all), loads);
  const own = await Promise.all(Array.from({ length: 200 }, async (_, i) => (await dial(client(i)))[0]));
  t.deepEqual([...new Set(own)].toSorted(), servers);
  const [gone] = servers;
  const less = facts(
    servers.map((address) => ({ address, up: address !== gone })),
    1,
    { balance: "source-ip" },
  );
  const rest = dialler(targetOf(loads, less), loads);
  // Another port of the client is the same client.
  for (const [i, server] of own.entries()) {
    const [tried] = await rest(client(i).replace(/:\d+$/, ":9"));
    if (server === gone) t.is(tried, (await rest(client(i)))[0]);
    else t.is(tried, server);
  }
  t.is((await dial("[2001:db8::1]:1"))[0], (await dial("[2001:db8::1]:2"))[0]);
});

test("a client without an address is served with source-ip too", async (t) => {
  const loads = single();
  const dial = dialler(
    targetOf(loads, facts([{ address: "a" }, { address: "b" }], 1, { balance: "source-ip" })),
    loads,
  );
  t.is((await dial("unix")).length, 1);
});

test("each server has its share of the time, so that one that swallows packets leaves some for the others", async (t) => {
  const loads = single();
  const target = targetOf(loads, facts([{ address: "a" }, { address: "b" }]));
  const left: number[] = [];
  const deadline = deadlineIn(1000, "connect_timeout");
  const transport = {
    connect: (_: ResolvedAddress, until: typeof deadline) => {
      left.push(msLeft(until));
      return { connected: Promise.reject(new ProxyError("connect_timeout")), cancel() {} };
    },
  } as unknown as Transport;
  const options = { target, client: "192.0.2.1:1", deadline, loadOf: loads.of, trying: () => {} };
  await t.throwsAsync(reachServer(transport, options).connected, { code: "target_unreachable" });
  t.is(left.length, 2);
  t.true(left[0]! <= 500 && left[1]! > 900);
});

test("cancelled, it dials no other", async (t) => {
  const loads = single();
  const target = targetOf(loads, facts([{ address: "a" }, { address: "b" }]));
  let dialled = 0;
  const transport = {
    connect() {
      dialled++;
      let reject!: (error: Error) => void;
      const connected = new Promise<never>((_, fail) => {
        reject = fail;
      });
      return { connected, cancel: () => reject(new ProxyError("closed_here")) };
    },
  } as unknown as Transport;
  const deadline = deadlineIn(1000, "connect_timeout");
  const reaching = reachServer(transport, { target, client: "", deadline, loadOf: loads.of, trying: () => {} });
  reaching.cancel();
  await t.throwsAsync(reaching.connected, { code: "offer_cancelled" });
  t.is(dialled, 1);
});

test("connections count over all workers, until their worker or their target is gone", (t) => {
  const board = createServerBoard(2);
  const workers = [0, 1].map((worker) => {
    const loads = createServerLoads(board, worker);
    const targets = createTargets(loads);
    targets.replace([facts([{ address: "a", slot: 3 }])]);
    return { loads, targets, server: targets.of(offer).servers[0]! };
  });
  const [first, second] = workers as [(typeof workers)[number], (typeof workers)[number]];
  first.loads.count(first.server, 1);
  second.loads.count(second.server, 1);
  second.loads.count(second.server, 1);
  t.deepEqual([first.loads.of(first.server), readConnections(board, 3)], [3, 3]);
  // The same target told again is the same, whatever became of its addresses.
  first.targets.replace([facts([{ address: "a", slot: 3, up: false }])]);
  t.is(first.targets.of(offer).servers[0], first.server);
  t.false(first.server.up);
  clearServers(board, 1);
  t.is(readConnections(board, 3), 1);
  // Its slot is another's now, and what it still has open is not counted there.
  first.targets.replace([facts([{ address: "b", slot: 3 }], 2)]);
  t.is(readConnections(board, 3), 0);
  first.loads.count(first.server, -1);
  t.is(readConnections(board, 3), 0);
});
