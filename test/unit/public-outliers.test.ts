import test from "ava";
import type { Attempt } from "../../src/public/attempt.js";
import { createOutliers } from "../../src/public/outliers.js";
import { createWatchAttempt } from "../../src/public/watch-attempt.js";
import type { Endpoint } from "../../src/transport/endpoint.js";
import { announcer, handClock } from "./announcing.js";

function scene() {
  const now = handClock();
  const outliers = createOutliers({ now });
  const suspects: string[] = [];
  const watch = createWatchAttempt({
    now,
    patienceMs: () => 3000,
    outliers,
    suspect: (session) => void suspects.push(session),
  });
  const one = announcer("one");
  /** Of the same session: another target. */
  const other = { ...one, announcementId: 2 };
  const attempt = async (outcome: Attempt, { takesMs = 0, gone = false, whom = one } = {}) => {
    let settle: (outcome: Attempt) => void = () => {};
    const outcomes = new Promise<Attempt>((resolve) => {
      settle = resolve;
    });
    const watched = watch({ gone }, whom, () => outcomes);
    now.pass(takesMs);
    settle(outcome);
    return watched;
  };
  return { now, outliers, suspects, one, other, attempt };
}

const taken: Attempt = { status: "taken", dialBack: {} as Endpoint };
const declined = (why: string): Attempt => ({ status: "declined", why });
const timedOut: Attempt = { status: "unanswered", why: "timedOut" };
const lost: Attempt = { status: "lost", why: "no verdict (peer_reset)" };

test("who broke off is avoided as a whole, for one second first, then for twice as long each time, up to 30 s", async (t) => {
  const { now, outliers, one, other, attempt } = scene();
  for (const pauseMs of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
    t.is(outliers.avoidance(one), 0);
    await attempt(lost);
    t.deepEqual([outliers.avoidance(one), outliers.avoidance(other)], [1, 1]);
    now.pass(pauseMs - 1);
    t.is(outliers.avoidance(one), 1);
    now.pass(1);
  }
  t.is(outliers.avoidance(one), 0);
  await attempt(taken);
  await attempt(lost);
  now.pass(1000);
  t.is(outliers.avoidance(one), 0);
});

test("a hundred attempts that were under way when the first of them failed count as one failure", async (t) => {
  const { now, outliers, one } = scene();
  const since = now();
  now.pass(3000);
  for (let i = 0; i < 100; i++) {
    outliers.failed(one, since);
    outliers.declined(one, since);
    now.pass(20);
  }
  t.is(outliers.avoidance(one), 0);
});

test("a target that cannot be reached is avoided, the other targets of its private proxy are not", async (t) => {
  for (const reason of ["target_unreachable", "dial_back_failed", "endpoint_refused"]) {
    const { now, outliers, one, other, attempt } = scene();
    await attempt(declined(reason));
    t.deepEqual([outliers.avoidance(one), outliers.avoidance(other)], [1, 0]);
    now.pass(1000);
    t.is(outliers.avoidance(one), 0);
    await attempt(declined(reason));
    now.pass(1999);
    t.is(outliers.avoidance(one), 1);
    await attempt(taken);
    t.is(outliers.avoidance(one), 0);
  }
});

test("a full target, a private proxy that stops, and one that has no such name are not avoided", async (t) => {
  const { outliers, one, attempt } = scene();
  for (const reason of ["target_full", "shutting_down", "name_not_served", "verdict_refused"]) {
    await attempt(declined(reason));
  }
  t.is(outliers.avoidance(one), 0);
});

test("a client that queued for as long as it could wait: only that target is avoided; its private proxy was, as if silent", async (t) => {
  const { outliers, suspects, one, other, attempt } = scene();
  await attempt({ status: "queued", why: "no place at its target in time" }, { takesMs: 10_000 });
  t.deepEqual([outliers.avoidance(one), outliers.avoidance(other)], [1, 0]);
  t.deepEqual(suspects, []);
});

test("what is announced anew, on other terms or by a new session, starts with a clean slate", async (t) => {
  const { outliers, one, attempt } = scene();
  await attempt(declined("target_unreachable"));
  t.is(outliers.avoidance({ ...one, weight: 2 }), 0);
  await attempt(lost);
  t.is(outliers.avoidance({ ...one, weight: 2 }), 1);
  t.is(outliers.avoidance(announcer("one")), 0);
});

test("silence for the whole time of an attempt makes a suspect: told once, avoided until it has answered and its pause is over", async (t) => {
  const { now, outliers, suspects, one, attempt } = scene();
  await attempt(timedOut, { takesMs: 3000 });
  t.deepEqual(suspects, ["one"]);
  t.is(outliers.avoidance(one), 1);
  outliers.suspected("one");
  await attempt({ status: "lost", why: "no verdict (nobody_answered)" }, { takesMs: 3000 });
  t.deepEqual(suspects, ["one"]);
  now.pass(600_000);
  t.is(outliers.avoidance(one), 2);
  t.true(outliers.isSuspect("one"));
  outliers.answers("one");
  t.is(outliers.avoidance(one), 0);

  await attempt(lost);
  outliers.suspected("one");
  outliers.answers("one");
  t.is(outliers.avoidance(one), 1);
});

test("who takes a client is no suspect any more", async (t) => {
  const { outliers, one, attempt } = scene();
  outliers.suspected("one");
  await attempt(taken);
  t.is(outliers.avoidance(one), 0);
  t.false(outliers.isSuspect("one"));
});

test("a suspect whose session is gone is forgotten", (t) => {
  const { outliers } = scene();
  outliers.suspected("one");
  outliers.sessionGone("one");
  t.false(outliers.isSuspect("one"));
});

test("a client that left, one that could not wait longer, and a session that is gone say nothing against anybody", async (t) => {
  const { outliers, suspects, one, attempt } = scene();
  await attempt(timedOut, { takesMs: 3000, gone: true });
  await attempt(lost, { gone: true });
  await attempt(declined("target_unreachable"), { gone: true });
  await attempt(timedOut, { takesMs: 1500 });
  await attempt({ status: "unanswered", why: "sessionGone" }, { takesMs: 10 });
  t.is(outliers.avoidance(one), 0);
  t.deepEqual(suspects, []);
});
