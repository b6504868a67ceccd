import test from "ava";
import { createParking, type ParkedClient } from "../../src/public/parking.js";
import { createTokens } from "../../src/public/tokens.js";
import { VerdictDeadline } from "../../src/public/verdict-deadline.js";
import { createToken, tokenWorker } from "../../src/rendezvous/token.js";
import type { Endpoint } from "../../src/transport/endpoint.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { handClock } from "./announcing.js";
import { fakeEndpoint } from "./fake-endpoint.js";

assertNothingLeft(test);

const longMs = 60_000;

function parkingWithClock(replaces = false) {
  const now = handClock();
  const tokens = createTokens({ worker: 7, now, replaces });
  const table = createParking({ tokens, alarm: now.alarm });
  const never = { at: Number.POSITIVE_INFINITY, code: "nobody_answered" } as const;
  const parking = {
    park: ({ session, timeoutMs }: { session: string; timeoutMs: number }) =>
      table.park({ session, deadline: new VerdictDeadline(timeoutMs, never, now) }),
    claim: (token: Uint8Array, dialBack: Endpoint) => tokens.present("claim", token, dialBack),
    decline: table.decline,
    sessionGone: tokens.sessionGone,
    close: tokens.close,
    get size() {
      return table.size;
    },
  };
  return { parking, tokens, now };
}

test("a token gives its client to the first dial-back that presents it, and to no other", async (t) => {
  const { parking } = parkingWithClock();
  const client = parking.park({ session: "s", timeoutMs: longMs });
  t.is(tokenWorker(client.token), 7);
  const [first, second] = [fakeEndpoint(), fakeEndpoint()];
  t.deepEqual(parking.claim(client.token, first), { status: "claimed" });
  t.deepEqual(parking.claim(client.token, second), { status: "refused", reason: "token_late" });
  t.deepEqual(await client.outcome, { status: "claimed", dialBack: first });
  t.is(parking.size, 0);
  t.deepEqual([first.done, second.done], [[], []], "the parking closes no dial-back: it is not the owner");
});

test("a copy of a token is as good as the token, whatever memory it stands in", (t) => {
  const { parking } = parkingWithClock();
  const { token } = parking.park({ session: "s", timeoutMs: longMs });
  const copy = Buffer.concat([Buffer.alloc(3), token]).subarray(3);
  t.deepEqual(parking.claim(copy, fakeEndpoint()), { status: "claimed" });
});

test("a token that was never given out is unknown, whatever its length", (t) => {
  const { parking } = parkingWithClock();
  parking.park({ session: "s", timeoutMs: longMs }).settle({ status: "abandoned" });
  for (const token of [createToken(7), new Uint8Array(32), new Uint8Array(0)]) {
    t.deepEqual(parking.claim(token, fakeEndpoint()), { status: "refused", reason: "token_unknown" });
  }
});

/** Each way in which a token dies. */
const deaths: Record<string, (client: ParkedClient, parking: ReturnType<typeof parkingWithClock>["parking"]) => void> =
  {
    declined: ({ token }, parking) => parking.decline({ session: "s", token, reason: "target_full" }),
    abandoned: (client) => client.settle({ status: "abandoned" }),
    sessionGone: (_, parking) => parking.sessionGone("s"),
    timedOut: (client) => client.settle({ status: "timedOut" }),
  };

for (const [status, die] of Object.entries(deaths)) {
  test(`a client that was ${status} leaves nothing, its token is late for a minute and unknown after that`, async (t) => {
    const { parking, now } = parkingWithClock();
    const client = parking.park({ session: "s", timeoutMs: longMs });
    die(client, parking);
    die(client, parking);
    client.settle({ status: "abandoned" });
    t.is((await client.outcome).status, status as "declined");
    t.deepEqual([parking.size, now.alarms], [0, 0]);
    now.pass(59_999);
    t.deepEqual(parking.claim(client.token, fakeEndpoint()), { status: "refused", reason: "token_late" });
    now.pass(1);
    t.deepEqual(parking.claim(client.token, fakeEndpoint()), { status: "refused", reason: "token_unknown" });
  });
}

test("a client that nobody fetches is let go when its time is over", async (t) => {
  const { parking, now } = parkingWithClock();
  const client = parking.park({ session: "s", timeoutMs: 1 });
  now.pass(0.5);
  t.is(parking.size, 1);
  now.pass(0.5);
  t.deepEqual(await client.outcome, { status: "timedOut" });
  t.is(parking.size, 0);
});

test("in the first minute of a parking that replaces another, a token that it does not know is late", (t) => {
  const { parking, now } = parkingWithClock(true);
  const claim = () => parking.claim(createToken(7), fakeEndpoint());
  now.pass(59_999);
  t.deepEqual(claim(), { status: "refused", reason: "token_late" });
  now.pass(1);
  t.deepEqual(claim(), { status: "refused", reason: "token_unknown" });
});

test("a session that is gone lets its own clients go and no others", async (t) => {
  const { parking } = parkingWithClock();
  const gone = [1, 2, 3].map(() => parking.park({ session: "gone", timeoutMs: longMs }));
  const other = parking.park({ session: "other", timeoutMs: longMs });
  t.is(parking.size, 4);
  parking.sessionGone("gone");
  for (const client of gone) t.deepEqual(await client.outcome, { status: "sessionGone" });
  t.is(parking.size, 1);
  parking.close();
  t.deepEqual(await other.outcome, { status: "sessionGone" });
});

test("a decline of a token that nobody waits for, or from another session, does no harm", (t) => {
  const { parking } = parkingWithClock();
  const client = parking.park({ session: "s", timeoutMs: longMs });
  parking.decline({ session: "s", token: createToken(7), reason: "target_full" });
  parking.decline({ session: "other", token: client.token, reason: "target_full" });
  t.is(parking.size, 1);
  client.settle({ status: "abandoned" });
});

test("closing forgets everything, also what was late", (t) => {
  const { parking } = parkingWithClock();
  const client = parking.park({ session: "s", timeoutMs: longMs });
  parking.close();
  t.is(parking.size, 0);
  t.deepEqual(parking.claim(client.token, fakeEndpoint()), { status: "refused", reason: "token_unknown" });
});

test("of dead tokens the newest 20,000 are remembered, so that memory is bounded", (t) => {
  const { parking } = parkingWithClock();
  const tokens: Uint8Array[] = [];
  for (let i = 0; i < 20_002; i++) {
    const client = parking.park({ session: "s", timeoutMs: longMs });
    tokens.push(client.token);
    client.settle({ status: "abandoned" });
  }
  const reasonOf = (token: Uint8Array | undefined) => {
    const claim = parking.claim(token!, fakeEndpoint());
    return claim.status === "refused" ? claim.reason : claim.status;
  };
  t.is(reasonOf(tokens[0]), "token_unknown");
  t.is(reasonOf(tokens[1]), "token_unknown");
  t.is(reasonOf(tokens[2]), "token_late");
  t.is(reasonOf(tokens.at(-1)), "token_late");
});

test("a token is late as soon as it was presented, and its session can be told of until its verdict", async (t) => {
  const { parking, tokens } = parkingWithClock();
  const client = parking.park({ session: "s", timeoutMs: longMs });
  const dialBack = fakeEndpoint();
  parking.claim(client.token, dialBack);
  t.truthy(tokens.find("s", client.token));
  t.is(tokens.find("other", client.token), undefined);
  parking.decline({ session: "s", token: client.token, reason: "target_full" });
  t.deepEqual(await client.outcome, { status: "claimed", dialBack }, "its verdict comes on the dial-back");
  client.over();
  t.is(tokens.find("s", client.token), undefined);
  t.deepEqual(parking.claim(client.token, fakeEndpoint()), { status: "refused", reason: "token_late" });
});

test("a token that parks fetches no client, and the other way round", (t) => {
  const { parking, tokens } = parkingWithClock();
  const client = parking.park({ session: "s", timeoutMs: longMs });
  const refused = { status: "refused", reason: "token_misplaced" };
  t.deepEqual(tokens.present("park", client.token, fakeEndpoint()), refused);
  t.deepEqual(parking.claim(client.token, fakeEndpoint()), { status: "claimed" }, "it was not used up by that");
});

test("a client that queues at its target is waited for, but no longer than all attempts may take", (t) => {
  const now = handClock();
  const deadline = new VerdictDeadline(100, { at: now() + 1000, code: "nobody_answered" }, now);
  const begun = now();
  deadline.extend(50);
  t.is(deadline.at, begun + 100, "never sooner than before");
  deadline.extend(500);
  t.is(deadline.at, begun + 500);
  deadline.extend(5000);
  t.is(deadline.at, begun + 1000);
  now.pass(999);
  t.false(deadline.isOver);
  now.pass(1);
  t.true(deadline.isOver);
});
