import test from "ava";
import { createCounters, readCounters } from "../../src/base/counters.js";
import { ProxyError } from "../../src/base/errors.js";
import type { ReasonCode } from "../../src/base/reasons.js";
import { createLiveRendezvous } from "../../src/private/live-rendezvous.js";
import type { RendezvousRecord } from "../../src/private/messages.js";
import type { Server } from "../../src/private/targets.js";
import { handClock } from "./announcing.js";
import { fakeSplice } from "./fake-endpoint.js";

function table() {
  const counters = createCounters();
  const records: RendezvousRecord[] = [];
  const declined: string[] = [];
  const left: Server[] = [];
  const queued: string[] = [];
  const live = createLiveRendezvous({
    counters,
    now: handClock(),
    ended: (record) => records.push(record),
    left: (server) => left.push(server),
    queued: (session, _token, msLeft) => queued.push(`${session} ${msLeft}`),
    declined: (session, _token, reason) => declined.push(`${session} ${reason}`),
  });
  const open = (token = Buffer.alloc(32, 1)) =>
    live.open({
      session: "s",
      publicProxy: "public:4435",
      offer: {
        token,
        announcementId: 1,
        serverName: "a.test",
        client: "192.0.2.1:5",
        endpoint: 0,
        msLeft: 1000,
        connectionId: "c1",
      },
    });
  return { live, open, records, declined, queued, left, totals: () => readCounters([counters.buffer]) };
}

/** Lets promises that have settled be noticed. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("what no dial-back could say is said on the mesh, and nothing else is", (t) => {
  const onTheMesh: ReasonCode[] = ["name_not_served", "shutting_down", "dial_back_failed", "endpoint_refused"];
  for (const code of [...onTheMesh, "target_unreachable", "offer_expired", "offer_cancelled", "internal"] as const) {
    const { open, declined, records, totals } = table();
    const rendezvous = open();
    rendezvous.whenCancelled(() => {});
    rendezvous.refuse(code === "internal" ? new Error("a fault") : new ProxyError(code));
    t.deepEqual(declined, onTheMesh.includes(code) ? [`s ${code}`] : []);
    t.like(records[0], { refused: code, endedBy: code });
    t.deepEqual([totals().opened, totals().closed, totals().refused[code]], [1, 1, 1]);
  }
});

test("a target that is known to be down is said on the mesh before anything was dialled", (t) => {
  const { open, declined } = table();
  open().refuse(new ProxyError("target_unreachable"));
  t.deepEqual(declined, ["s target_unreachable"]);
});

test("a server has its connection until the rendezvous is over, however it ends", async (t) => {
  const { open, left } = table();
  const server = { address: "a" } as Server;
  const refused = open();
  refused.server = server;
  refused.refuse(new ProxyError("offer_expired"));
  t.deepEqual(left, [server]);
  const served = open(Buffer.alloc(32, 2));
  served.server = server;
  const splice = fakeSplice();
  served.splice(splice);
  t.is(left.length, 1);
  splice.cut();
  await settle();
  t.is(left.length, 2);
});

test("a full queue is told on the mesh as a full target, and what ran out of time there only where it came from", (t) => {
  const { open, declined, records } = table();
  open().refuse(new ProxyError("target_queue_full"));
  open().refuse(new ProxyError("target_queue_timeout"));
  t.deepEqual(declined, ["s target_full"]);
  t.deepEqual(
    records.map(({ refused }) => refused),
    ["target_queue_full", "target_queue_timeout"],
  );
});

test("who is queued is told of, is no unanswered offer any more once its client is there, and can still be taken back", (t) => {
  const { live, open, queued } = table();
  const rendezvous = open();
  t.is(live.unanswered("s"), 1);
  rendezvous.queued(7000);
  t.is(live.unanswered("s"), 1, "nobody knows yet whether there is a client");
  rendezvous.met();
  t.is(live.unanswered("s"), 0);
  t.deepEqual(queued, ["s 7000"]);
  let cancelled = false;
  rendezvous.whenCancelled(() => {
    cancelled = true;
  });
  live.cancel(Buffer.alloc(32, 1));
  t.true(cancelled);
  rendezvous.refuse(new ProxyError("offer_cancelled"));
  t.is(live.unanswered("s"), 0);
  const served = open();
  served.met();
  t.is(live.unanswered("s"), 1);
});

test("a place at the target is left once: when the splice has ended, or with the refusal", async (t) => {
  const { open } = table();
  const left: string[] = [];
  const placed = (name: string) => {
    const rendezvous = open();
    rendezvous.place = { wait: undefined, leave: () => left.push(name) };
    return rendezvous;
  };
  placed("refused").refuse(new ProxyError("target_unreachable"));
  t.deepEqual(left, ["refused"]);
  const splice = fakeSplice();
  placed("spliced").splice(splice);
  await settle();
  t.deepEqual(left, ["refused"]);
  splice.end({});
  await settle();
  t.deepEqual(left, ["refused", "spliced"]);
});

test("a cancelled offer is called off at once, also by who begins to listen later, and its error counts as cancelled", (t) => {
  const { live, open, records, declined } = table();
  const rendezvous = open();
  const told: string[] = [];
  rendezvous.whenCancelled(() => told.push("replaced"));
  rendezvous.whenCancelled(() => told.push("before"));
  live.cancel(Buffer.alloc(32, 2));
  t.deepEqual(told, []);
  live.cancel(Buffer.alloc(32, 1));
  live.cancel(Buffer.alloc(32, 1));
  rendezvous.whenCancelled(() => told.push("after"));
  t.deepEqual(told, ["before", "after"]);
  rendezvous.refuse(new ProxyError("dial_back_failed"));
  t.like(records[0], { refused: "offer_cancelled", detail: undefined });
  t.deepEqual(declined, []);
});

test("an offer that is taken back after its splice has begun goes on, and is cut with everything", async (t) => {
  const { live, open, records } = table();
  const rendezvous = open();
  const splice = fakeSplice();
  rendezvous.splice(splice);
  live.cancel(Buffer.alloc(32, 1));
  t.deepEqual(records, []);
  live.cutAll();
  await settle();
  t.like(records[0], { endedBy: "cut", refused: undefined });
});

test("what is cut in the moment in which it is spliced ends", async (t) => {
  const { live, open, records } = table();
  const rendezvous = open();
  live.cutAll();
  rendezvous.splice(fakeSplice());
  await settle();
  t.like(records[0], { endedBy: "cut" });
});

test("a token that was offered twice is taken back from the second when the first has ended", (t) => {
  const { live, open } = table();
  const [first, second] = [open(), open()];
  let cancelled = false;
  second.whenCancelled(() => {
    cancelled = true;
  });
  first.refuse(new ProxyError("name_not_served"));
  live.cancel(Buffer.alloc(32, 1));
  t.true(cancelled);
});

test("whoever waits for the last one is told when it has ended, or at once where there is none", (t) => {
  const { live, open } = table();
  let told = 0;
  live.whenEmpty(() => told++);
  const rendezvous = open();
  live.whenEmpty(() => told++);
  t.is(told, 1);
  rendezvous.refuse(new ProxyError("offer_expired"));
  t.is(told, 2);
});
