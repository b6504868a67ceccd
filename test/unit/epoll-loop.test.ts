import test from "ava";
import { epollIn } from "../../src/transport/epoll/abi.js";
import type { Watched } from "../../src/transport/epoll/loop.js";
import { paperKernel } from "./epoll-paper-kernel.js";

/** Notes what it is told. */
function listener(does: () => void = () => {}): Watched & { readonly told: string[] } {
  const told: string[] = [];
  return {
    told,
    onEvents(events) {
      told.push(`events ${events}`);
      does();
    },
    failed: () => told.push("failed"),
  };
}

test("a stale event of an earlier connection with the same descriptor number reaches nobody", async (t) => {
  const { loop, open, ticket, tell, rounds } = paperKernel();
  const [earlier, later] = [listener(), listener()];
  loop.watch(open(7), earlier, epollIn);
  const stale = ticket(7);
  loop.close(7);
  tell(stale.slice(), epollIn);
  loop.watch(open(7), later, epollIn);
  await rounds();
  t.deepEqual([earlier.told, later.told], [[], []]);
  tell(stale, epollIn);
  tell(ticket(7), epollIn);
  await rounds();
  t.deepEqual([earlier.told, later.told], [[], ["events 1"]]);
  loop.stop();
});

test("of two events in one batch the second reaches nobody where the first has closed its descriptor", async (t) => {
  const { loop, open, ticket, tell, rounds } = paperKernel();
  const victim = listener();
  const heir = listener();
  const closer = listener(() => {
    loop.close(8);
    loop.watch(open(8), heir, epollIn);
  });
  loop.watch(open(7), closer, epollIn);
  loop.watch(open(8), victim, epollIn);
  tell(ticket(7), epollIn);
  tell(ticket(8), epollIn);
  await rounds();
  t.deepEqual([closer.told, victim.told, heir.told], [["events 1"], [], []]);
  loop.stop();
});

test("a throw in one connection's handling gives up that connection and no other", async (t) => {
  const { loop, open, ticket, tell, rounds, faults } = paperKernel();
  const broken = listener(() => {
    throw new Error("a fault");
  });
  const sound = listener();
  loop.watch(open(7), broken, epollIn);
  loop.watch(open(8), sound, epollIn);
  tell(ticket(7), epollIn);
  tell(ticket(8), epollIn);
  const turns: string[] = [];
  loop.later({
    takeTurn() {
      throw new Error("a faulty turn");
    },
    failed: () => turns.push("failed"),
  });
  loop.later({ takeTurn: () => turns.push("taken"), failed: () => turns.push("failed too") });
  const rung: string[] = [];
  loop.alarm(0, () => {
    throw new Error("a faulty alarm");
  });
  loop.alarm(1, () => rung.push("rung"));
  await rounds();
  t.deepEqual(broken.told, ["events 1", "failed"]);
  t.deepEqual(sound.told, ["events 1"]);
  t.deepEqual(turns, ["failed", "taken"]);
  t.deepEqual(rung, ["rung"]);
  t.deepEqual(faults.map(String), ["Error: a fault", "Error: a faulty turn", "Error: a faulty alarm"]);
  loop.stop();
});

test("a turn that asks for another one gets it in the next round", async (t) => {
  const { loop, rounds } = paperKernel();
  let turns = 0;
  const turn = {
    takeTurn() {
      if (++turns < 3) loop.later(turn);
    },
    failed() {},
  };
  loop.later(turn);
  await new Promise(setImmediate);
  t.is(turns, 1);
  await rounds();
  await rounds();
  t.is(turns, 3);
});

test("without anything to wait for the loop closes its epoll descriptor, and opens one again when it is needed", async (t) => {
  const { loop, open, rounds, calls } = paperKernel();
  let rests = 0;
  loop.whenAtRest(() => rests++);
  loop.watch(open(7), listener(), epollIn);
  await rounds();
  loop.close(7);
  await rounds();
  t.deepEqual([calls, rests], [["close 7", "close 900"], 1]);
  const again = listener();
  loop.watch(open(7), again, epollIn);
  await rounds();
  loop.close(7);
  await rounds();
  t.deepEqual([calls.slice(2), rests], [["close 7", "close 901"], 2]);
});

test("stopping closes every descriptor of the thread, and no other", (t) => {
  const { loop, open, ownership, calls } = paperKernel();
  loop.watch(open(7), listener(), epollIn);
  open(8);
  ownership.take(9);
  ownership.give(9, 5);
  loop.stop();
  t.deepEqual(calls.toSorted(), ["close 7", "close 8", "close 900"]);
  t.false(loop.own(10), "what comes after is closed at once");
  t.is(calls.at(-1), "close 10");
  loop.stop();
});

test("bug: a fault was reported before its connection was closed, which did not happen where the report threw", async (t) => {
  const { loop, open, ticket, tell, rounds, faults } = paperKernel();
  const reportedBefore: number[] = [];
  const broken = {
    onEvents() {
      throw new Error("a fault");
    },
    failed: () => reportedBefore.push(faults.length),
  };
  loop.watch(open(7), broken, epollIn);
  tell(ticket(7), epollIn);
  await rounds();
  t.deepEqual([reportedBefore, faults.length], [[0], 1]);
  loop.stop();
});
