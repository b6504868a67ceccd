import test from "ava";
import { deadlineIn } from "../../src/base/deadline.js";
import { type Turn, takeTurn } from "../../src/public/attempt.js";
import type { ClientPlane } from "../../src/public/data-plane.js";
import type { Announcer } from "../../src/public/names.js";
import { PooledDialBack } from "../../src/public/pooled-dial-back.js";
import { createTokens } from "../../src/public/tokens.js";
import { encodeVerdict } from "../../src/rendezvous/verdict.js";
import { announcer } from "./announcing.js";
import { fakeEndpoint } from "./fake-endpoint.js";

test("a client counts as queued from when that is said first until its verdict", async (t) => {
  const tokens = createTokens({ worker: 0, now: () => 0 });
  const place = new PooledDialBack("one", 0, tokens, { parked() {}, ended() {} });
  let say!: (bytes: Uint8Array) => void;
  const said = new Promise<Uint8Array>((resolve) => {
    say = resolve;
  });
  const dialBack = Object.assign(fakeEndpoint(), { read: () => said });
  place.presented(dialBack);
  // As whoever chose the private proxy leaves them.
  const counts = { unanswered: 1, queued: 0 };
  const plane = {
    config: { attemptTimeoutMs: 60_000 },
    turns: {
      queued() {
        counts.queued++;
      },
      over(_: Announcer, wasQueued: boolean) {
        counts.unanswered--;
        if (wasQueued) counts.queued--;
      },
    },
    pool: { take: () => place },
  } as unknown as ClientPlane;
  const { remote: source, local: destination } = dialBack;
  const turn = {
    connection: { id: "c", source, destination, whenGone() {} },
    hello: { serverName: undefined },
    bytes: new Uint8Array(1),
    announcer: announcer("one"),
    usePool: true,
    overall: deadlineIn(60_000, "nobody_answered"),
  } as unknown as Turn;

  const attempt = takeTurn(turn, plane);
  t.deepEqual(counts, { unanswered: 1, queued: 0 });
  for (const msLeft of [1000, 2000]) tokens.find("one", place.token)?.queued(msLeft);
  t.deepEqual(counts, { unanswered: 1, queued: 1 });
  say(Uint8Array.of(encodeVerdict("taken")));
  t.is((await attempt).status, "taken");
  t.deepEqual(counts, { unanswered: 0, queued: 0 });
});
