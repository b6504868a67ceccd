import test from "ava";
import fc from "fast-check";
import { createCounters, readCounters } from "../../src/base/counters.js";
import { ProxyError } from "../../src/base/errors.js";
import { createClientTables, createClientTallies } from "../../src/public/client-tallies.js";
import { createLiveConnections } from "../../src/public/live-connections.js";
import type { ConnectionRecord } from "../../src/public/messages.js";
import { alertRecord } from "../../src/tls-sni/index.js";
import { announcer, handClock } from "./announcing.js";
import { fakeEndpoint, fakeSplice } from "./fake-endpoint.js";

function liveConnections() {
  const counters = createCounters();
  const records: ConnectionRecord[] = [];
  const now = handClock();
  // One bucket each: sixteen cells.
  const tallies = createClientTallies(createClientTables(1, 1), 0);
  const connections = createLiveConnections({ counters, now, tallies, ended: (record) => records.push(record) });
  const totals = () => readCounters([counters.buffer]);
  return { connections, records, totals, now, tallies };
}

/** Lets promises that have settled be noticed. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("a connection is refused once, by alert where its reason has one", (t) => {
  const { connections, records, totals, now } = liveConnections();
  const client = fakeEndpoint();
  const connection = connections.open(client);
  connection.serverName = "a.test";
  now.pass(12);
  connection.refuse("nobody_answered");
  connection.refuse("internal");
  t.deepEqual(client.done, ["end"]);
  t.deepEqual(client.last, alertRecord("nobody_answered"));
  t.deepEqual(totals().refused, { nobody_answered: 1 });
  t.is(records.length, 1);
  t.like(records[0], {
    connection: connection.id,
    serverName: "a.test",
    client: "192.0.2.7:50000",
    endedBy: "nobody_answered",
    refused: "nobody_answered",
    ms: 12,
  });
});

test("what is not TLS is closed without a word", (t) => {
  const client = fakeEndpoint();
  liveConnections().connections.open(client).refuse("not_tls_ssh");
  t.deepEqual(client.done, ["destroy"]);
});

test("a client that left is told nothing", async (t) => {
  const { connections } = liveConnections();
  const client = fakeEndpoint();
  const connection = connections.open(client);
  client.leave("reset");
  await settle();
  t.true(connection.gone);
  connection.refuse("nobody_answered");
  t.deepEqual(client.done, ["destroy"]);
});

test("whoever waits for a client learns at once that it has left, also when it had left before", async (t) => {
  const { connections } = liveConnections();
  const client = fakeEndpoint();
  const connection = connections.open(client);
  const told: string[] = [];
  connection.whenGone(() => told.push("replaced"));
  connection.whenGone(() => told.push("before"));
  client.leave("ended");
  await settle();
  connection.whenGone(() => told.push("after"));
  t.deepEqual(told, ["before", "after"]);
});

test("a spliced connection counts for its session until it ends, and is told of with its bytes", async (t) => {
  const { connections, records, totals } = liveConnections();
  const splice = fakeSplice();
  connections.open(fakeEndpoint()).splice(splice, announcer("s"), 500);
  t.is(connections.splicedTo("s"), 1);
  splice.end({ bytesAb: 10, bytesBa: 20, endedBy: "b_ended" });
  await settle();
  t.is(connections.splicedTo("s"), 0);
  t.like(records[0], { peer: "dns:s (s)", bytesUp: 510, bytesDown: 20, endedBy: "server", refused: undefined });
  t.is(totals().bytesUp, 500, "what is moved later is counted as it moves");
});

test("a connection that is cut in the moment in which it is joined ends, and counts for no session", async (t) => {
  const { connections, records } = liveConnections();
  const connection = connections.open(fakeEndpoint());
  connections.cutAll();
  const splice = fakeSplice();
  connection.splice(splice, announcer("s"), 1);
  t.like(await splice.done, { endedBy: "cut" });
  t.is(connections.splicedTo("s"), 0);
  t.deepEqual(
    records.map(({ endedBy }) => endedBy),
    ["stopping"],
  );
});

test("cutting a session cuts what is spliced to it and nothing else", async (t) => {
  const { connections } = liveConnections();
  const [mine, other] = [fakeSplice(), fakeSplice()];
  connections.open(fakeEndpoint()).splice(mine, announcer("mine"), 1);
  connections.open(fakeEndpoint()).splice(other, announcer("other"), 1);
  connections.open(fakeEndpoint());
  connections.cutSession("mine");
  await settle();
  t.deepEqual([connections.size, connections.splicedTo("mine"), connections.splicedTo("other")], [2, 0, 1]);
});

test("whoever waits for the last connection is told when it has ended, or at once where there is none", (t) => {
  const { connections } = liveConnections();
  let told = 0;
  connections.whenEmpty(() => told++);
  t.is(told, 1);
  const [one, two] = [connections.open(fakeEndpoint()), connections.open(fakeEndpoint())];
  connections.whenEmpty(() => told++);
  one.refuse("stopping");
  t.is(told, 1);
  two.refuse("stopping");
  t.is(told, 2);
});

const anyEvent = fc.record({
  what: fc.constantFrom("open", "leave", "refuse", "splice", "end", "cutOne", "cutAll", "settle"),
  which: fc.nat({ max: 4 }),
});

test("in any order of events what was opened is closed or live, and every end is told once", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyEvent, { maxLength: 40 }), async (events) => {
      const { connections, records, totals } = liveConnections();
      const opened = [];
      for (const { what, which } of events) {
        const one = opened[which % Math.max(1, opened.length)];
        if (what === "open") {
          const client = fakeEndpoint();
          opened.push({ client, connection: connections.open(client), splice: fakeSplice(), joined: false });
        } else if (what === "cutAll") connections.cutAll();
        else if (what === "settle") await settle();
        else if (one === undefined) continue;
        else if (what === "leave") one.client.leave("ended");
        else if (what === "refuse" && !one.joined) one.connection.refuse("all_declined");
        else if (what === "splice" && !one.joined) {
          one.joined = true;
          one.connection.splice(one.splice, announcer("s"), 1);
        } else if (what === "end") one.splice.end({});
        else if (what === "cutOne") connections.cutSession("s");
        const { opened: ins, closed } = totals();
        t.is(ins - closed, connections.size);
      }
      connections.cutAll();
      await settle();
      t.is(connections.size, 0);
      t.is(connections.splicedTo("s"), 0);
      t.is(totals().closed, opened.length);
      t.is(new Set(records.map(({ connection }) => connection)).size, opened.length);
      t.is(records.length, opened.length);
    }),
    { numRuns: 150 },
  );
});

const anyCounting = fc.record({
  what: fc.constantFrom("open", "count", "count", "leave", "refuse", "splice", "end", "cutSession", "reload"),
  which: fc.nat({ max: 7 }),
});

test("limits that come and go count a connection until its end, whatever its end, and nothing twice", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyCounting, { maxLength: 60 }), async (events) => {
      const { connections, totals, tallies } = liveConnections();
      const opened: {
        client: ReturnType<typeof fakeEndpoint>;
        splice: ReturnType<typeof fakeSplice>;
        state: string;
      }[] = [];
      const live: ReturnType<typeof connections.open>[] = [];
      let max: number | undefined = 2;
      for (const { what, which } of events) {
        const at = which % Math.max(1, opened.length);
        const one = opened[at];
        const connection = live[at];
        if (what === "open") {
          const client = fakeEndpoint();
          opened.push({ client, splice: fakeSplice(), state: "new" });
          live.push(connections.open(client));
        } else if (what === "reload") max = which === 0 ? undefined : (which % 3) + 1;
        else if (what === "cutSession") connections.cutSession("s");
        else if (one === undefined || connection === undefined) continue;
        else if (what === "leave") one.client.leave("reset");
        else if (what === "refuse" && one.state !== "joined") connection.refuse("all_declined");
        else if (what === "end") one.splice.end({});
        else if (what === "splice" && one.state === "counted") {
          one.state = "joined";
          connection.splice(one.splice, announcer("s"), 1);
        } else if (what === "count" && one.state === "new") {
          one.state = "counted";
          connection.serverName = which % 2 === 0 ? "a.test" : undefined;
          try {
            connection.countAddress(max);
            connection.countName(max);
          } catch (error) {
            connection.refuse((error as ProxyError).code);
          }
        }
        await settle();
      }
      connections.cutAll();
      await settle();
      t.is(totals().closed, opened.length);
      const names = Array.from({ length: 16 }, (_, i) => tallies.enterName(i === 0 ? "a.test" : `${i}.test`, 1));
      const addresses = Array.from({ length: 16 }, (_, i) =>
        tallies.enterAddress({ family: "ipv4", address: `192.0.2.${i}`, port: 1 }, 1),
      );
      // Every cell was free: what finds none is given a place behind them all.
      for (const places of [names, addresses]) t.is(Math.max(...(places as number[])) < 64, true);
    }),
    { numRuns: 150 },
  );
});

test("one connection more than a limit allows is refused with its reason, and takes nobody's place with it", (t) => {
  const { connections, totals } = liveConnections();
  const open = () => {
    const client = fakeEndpoint();
    const connection = connections.open(client);
    connection.serverName = "a.test";
    return { client, connection };
  };
  const first = open();
  first.connection.countAddress(1);
  first.connection.countName(1);
  const second = open();
  t.throws(() => second.connection.countAddress(1), { instanceOf: ProxyError, code: "client_address_full" });
  t.throws(() => second.connection.countName(1), { instanceOf: ProxyError, code: "name_full" });
  second.connection.refuse("name_full");
  t.deepEqual(second.client.last, alertRecord("internal"));
  t.deepEqual(totals().refused, { name_full: 1 });
  t.throws(() => open().connection.countName(1), { instanceOf: ProxyError, code: "name_full" });
  first.connection.refuse("stopping");
  t.notThrows(() => open().connection.countName(1));
});

test("a connection that has ended before it is counted is not counted any more", (t) => {
  const { connections } = liveConnections();
  const early = connections.open(fakeEndpoint());
  early.refuse("hello_crowded_out");
  early.countAddress(1);
  early.countName(1);
  const next = connections.open(fakeEndpoint());
  t.notThrows(() => next.countAddress(1));
  t.notThrows(() => next.countName(1));
});
