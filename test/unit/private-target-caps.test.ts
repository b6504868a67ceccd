import test from "ava";
import { codeOf } from "../../src/base/errors.js";
import type { TargetCap } from "../../src/private/messages.js";
import { clearQueueLoads, createQueueBoard, readQueueLoad, writeQueueLoads } from "../../src/private/queue-board.js";
import { createCapNumbers } from "../../src/private/target-caps.js";
import { ownerOf } from "../../src/private/target-owner.js";
import { createTargetQueues } from "../../src/private/target-queues.js";
import { address } from "../harness/settings.js";
import { handClock } from "./announcing.js";

const target = (at: string, maxConnections?: number) => ({
  addresses: [address(at), address("another:1")],
  ...(maxConnections === undefined ? {} : { maxConnections }),
  queue: { max: 9, timeoutMs: 100 },
});
const cap = (queueId: number, maxConnections: number): TargetCap => ({
  queueId,
  maxConnections,
  max: 9,
  timeoutMs: 100,
});

test("a queue goes with its first address, over every reload, and what has no cap has no queue", (t) => {
  const number = createCapNumbers();
  t.deepEqual(number([target("h:1", 2), target("h:2"), target("h:3", 4)]), [cap(0, 2), undefined, cap(1, 4)]);
  t.deepEqual(number([target("h:3", 5), target("h:2", 6)]), [cap(1, 5), cap(2, 6)]);
  t.deepEqual(number([target("h:1", 3)]), [cap(0, 3)], "also when it comes back");
  t.deepEqual(number([target("h:1")]), [cap(0, Infinity)], "a cap that was lifted");
});

test("two targets at one address have a queue each", (t) => {
  const number = createCapNumbers();
  t.deepEqual(number([target("h:1", 2), target("h:1", 3)]), [cap(0, 2), cap(1, 3)]);
  t.deepEqual(number([target("h:1", 2), target("h:1")]), [cap(0, 2), cap(1, Infinity)]);
});

test("a target with a cap has one owner, any other none", (t) => {
  t.is(ownerOf({}, 4), undefined);
  t.is(ownerOf({ cap: cap(5, Infinity) }, 4), undefined);
  t.is(ownerOf({ cap: cap(5, 2) }, 4), 1);
  t.is(ownerOf({ cap: cap(5, 2) }, 1), 0);
});

function scene() {
  const now = handClock();
  const board = createQueueBoard();
  const queues = createTargetQueues({ now, alarm: now.alarm, note: writeQueueLoads(board) });
  const news: string[] = [];
  return {
    queues,
    board,
    now,
    news,
    enter(name: string, of: TargetCap) {
      const place = queues.enter({ cap: of })!;
      place.wait?.over.then(
        () => news.push(`${name} in`),
        (error: unknown) => news.push(`${name} ${codeOf(error)}`),
      );
      return place;
    },
  };
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("the figures of each target stand on the board, and are gone with everybody", (t) => {
  const { board, enter, queues } = scene();
  t.is(queues.enter({}), undefined);
  t.is(queues.enter({ cap: cap(0, Infinity) }), undefined);
  const places = [cap(0, 1), cap(0, 1), cap(0, 1), cap(3, 2), cap(9999, 1)].map((one) => enter("x", one));
  t.deepEqual(readQueueLoad(board, 0), { live: 1, queued: 2 });
  t.deepEqual(readQueueLoad(board, 3), { live: 1, queued: 0 });
  t.deepEqual(readQueueLoad(board, 9999), { live: 0, queued: 0 }, "more targets than the board has room for");
  places[0]!.leave();
  t.deepEqual(readQueueLoad(board, 0), { live: 1, queued: 1 });
  for (const place of places) place.leave();
  for (const queueId of [0, 3]) t.deepEqual(readQueueLoad(board, queueId), { live: 0, queued: 0 });
});

test("what a worker had that is gone is counted out, and nothing else", (t) => {
  const board = createQueueBoard();
  const write = writeQueueLoads(board);
  for (const queueId of [0, 1, 2, 3]) write(queueId, { live: 5, queued: 6 });
  clearQueueLoads(board, 1, 2);
  t.deepEqual(
    [0, 1, 2, 3].map((queueId) => readQueueLoad(board, queueId).live),
    [5, 0, 5, 0],
  );
});

test("a reload drops nobody who waits: a higher cap lets in as many, a lifted one all", async (t) => {
  const { queues, enter, news } = scene();
  enter("a", cap(0, 1));
  for (const name of ["b", "c", "d"]) enter(name, cap(0, 1));
  queues.follow([{ cap: cap(0, 2) }, { cap: cap(0, 1) }]);
  await settle();
  t.deepEqual(news, ["b in"]);
  queues.follow([{ cap: cap(0, Infinity) }]);
  await settle();
  t.deepEqual(news, ["b in", "c in", "d in"]);
});

test("who waits for a target that is gone is sent away, and who is there stays counted", async (t) => {
  const { queues, enter, news, board, now } = scene();
  const first = enter("a", cap(0, 1));
  enter("b", cap(0, 1));
  queues.follow([{}]);
  await settle();
  t.deepEqual(news, ["b name_not_served"]);
  t.is(now.alarms, 0);
  t.deepEqual(readQueueLoad(board, 0), { live: 1, queued: 0 });
  t.not(enter("c", cap(0, 1)).wait, undefined, "should it come back");
  first.leave();
  await settle();
  t.deepEqual(news, ["b name_not_served", "c in"]);
});
