import { once } from "node:events";
import type { Socket } from "node:net";
import test from "ava";
import type { Endpoint } from "../../src/transport/endpoint.js";
import { seededRandom } from "../fuzz/random.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { engineUnderTest } from "./engines.js";
import { hop, openDescriptors } from "./hop.js";
import { bridge, howLeft, listenOn, portOf, rawConnect, readAll, settled, soon } from "./peers.js";

const transport = engineUnderTest();
assertNothingLeft(test);

/** Reads, answers, waits, ends: what a story does, whatever becomes of the client. */
async function tell(endpoint: Endpoint, chapter: number): Promise<void> {
  try {
    if (chapter === 0) return endpoint.end(Buffer.alloc(100));
    const bytes = await endpoint.read(soon());
    if (chapter === 1 || bytes === undefined) return endpoint.destroy();
    endpoint.unread(bytes);
    endpoint.write(Buffer.alloc(200_000));
    if (chapter === 2) return endpoint.reset();
    await endpoint.hangup;
    endpoint.end(Buffer.alloc(100_000));
  } catch {
    endpoint.destroy();
  }
}

test.serial("a storm of resets in every phase before the splice leaves nothing behind", async (t) => {
  const random = seededRandom(5);
  const stories: Promise<void>[] = [];
  const listener = await listenOn(t, transport, (endpoint) => stories.push(tell(endpoint, random.below(4))));
  const before = openDescriptors();
  const count = 400;
  await Promise.all(
    Array.from({ length: count }, async () => {
      const raw = rawConnect(t, { port: portOf(listener) });
      await once(raw, "connect");
      const phase = random.below(4);
      if (phase > 0) raw.write(Buffer.alloc(1 + random.below(100_000)));
      if (phase > 1) await new Promise(setImmediate);
      // With a FIN on its way Node has no reset: closing with unread bytes makes one.
      if (phase > 2) raw.end(() => raw.destroy());
      else raw.resetAndDestroy();
    }),
  );
  await settledDescriptors(before.all);
  await Promise.all(stories);
  t.is(openDescriptors().all, before.all);
});

test.serial(
  "a storm of resets in every phase of a splice leaves nothing behind, and passes every reset on",
  async (t) => {
    const random = seededRandom(6);
    const crowd = await hop(t, transport);
    const before = openDescriptors();
    const count = 400;
    const pairs: [Socket, Socket][] = [];
    for (let index = 0; index < count; index++) {
      const raw = crowd.client();
      const [server] = await Promise.all([crowd.server(), once(raw, "connect")]);
      pairs.push([raw, server]);
    }
    while (crowd.splices.length < count) await new Promise(setImmediate);
    await Promise.all(
      pairs.map(async ([client, server]) => {
        const [victim, other] = random.below(2) === 0 ? [client, server] : [server, client];
        const phase = random.below(5);
        const left = howLeft(other);
        if (phase === 1) victim.write(Buffer.alloc(100));
        if (phase >= 2) victim.write(Buffer.alloc(1 << 20));
        if (phase >= 3) other.write(Buffer.alloc(1 << 20));
        if (phase === 4) await new Promise(setImmediate);
        victim.resetAndDestroy();
        t.is(await left, "reset", `phase ${phase}`);
        other.destroy();
      }),
    );
    await crowd.over(count);
    t.true(crowd.results.every(({ endedBy }) => endedBy === "a_reset" || endedBy === "b_reset"));
    await settledDescriptors(before.all);
    t.true(openDescriptors().all <= before.all);
  },
);

/** Small enough to be on this side at once: the RST throws away what is still on the other. */
const short = Buffer.alloc(1000, "answer");
const long = Buffer.alloc(300_000, "answer");

for (const when of ["before the splice", "in one breath with the FIN", "after the FIN was passed on"] as const) {
  test(`a RST that comes behind the FIN, ${when}, costs nothing that was sent before`, async (t) => {
    for (let round = 0; round < 10; round++) {
      const { b, rawA, rawB, splice } = await bridge(t, transport);
      const before = when === "before the splice";
      const answer = when === "after the FIN was passed on" ? long : short;
      const done = before ? undefined : splice().done;
      rawA.write("question");
      const arrived = readAll(rawA);
      await new Promise<void>((resolve) => rawB.write(answer, () => resolve()));
      rawB.end();
      await new Promise<void>((resolve) => rawB.once("finish", resolve));
      if (before) t.is(await b.hangup, "ended");
      if (when === "after the FIN was passed on") await arrived;
      // Bytes of the question are unread there, or come later: either way the server's system answers with a RST.
      rawB.destroy();
      rawA.write("more of it");
      if (before) await settled(() => rawB.bytesRead, 20);
      const ended = done ?? splice().done;
      t.is((await arrived).length, answer.length);
      rawA.end();
      t.is((await ended).endedBy, "b_ended");
    }
  });
}

async function settledDescriptors(wanted: number): Promise<void> {
  const giveUpAt = performance.now() + 5000;
  while (openDescriptors().all > wanted && performance.now() < giveUpAt) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
