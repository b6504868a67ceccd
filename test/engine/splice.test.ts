import { join } from "node:path";
import test from "ava";
import type { SpliceEnd } from "../../src/transport/endpoint.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { engineUnderTest } from "./engines.js";
import {
  acceptedPair,
  bridge,
  howLeft,
  rawServer,
  readAll,
  settled,
  settledAt,
  socketDirectory,
  soon,
} from "./peers.js";

const transport = engineUnderTest();
assertNothingLeft(test);

test("bytes read before the splice go first and count", async (t) => {
  const { a, b, rawA, rawB, splice, moved } = await bridge(t, transport);
  rawA.write("hello ");
  rawB.write("early answer ");
  a.unread((await a.read(soon())) ?? Buffer.alloc(0));
  b.unread((await b.read(soon())) ?? Buffer.alloc(0));
  rawA.end("world");
  rawB.end("and the rest");
  await Promise.all([a.hangup, b.hangup]);
  const { done } = splice();
  const [atB, atA] = await Promise.all([readAll(rawB), readAll(rawA)]);
  t.is(atB.toString(), "hello world");
  t.is(atA.toString(), "early answer and the rest");
  const { bytesAb, bytesBa } = await done;
  t.deepEqual({ ab: bytesAb, ba: bytesBa }, { ab: 11, ba: 25 });
  t.deepEqual(moved, { ab: 11, ba: 25 });
});

test("one-byte segments arrive in order", async (t) => {
  const { rawA, rawB, splice } = await bridge(t, transport);
  const { done } = splice();
  const text = "every byte in a segment of its own";
  const all = readAll(rawB);
  for (const letter of text) {
    rawA.write(letter);
    await new Promise(setImmediate);
  }
  rawA.end();
  t.is((await all).toString(), text);
  rawB.end();
  rawA.resume();
  t.deepEqual(await done, { bytesAb: text.length, bytesBa: 0, endedBy: "a_ended" });
});

for (const [first, second, endedBy] of [
  ["rawA", "rawB", "a_ended"],
  ["rawB", "rawA", "b_ended"],
] as const) {
  test(`after the FIN of ${first} a long answer still arrives`, async (t) => {
    const pair = await bridge(t, transport);
    const { done } = pair.splice();
    const question = readAll(pair[second]);
    pair[first].end("question");
    t.is((await question).toString(), "question");
    const answer = readAll(pair[first]);
    const block = Buffer.alloc(1 << 20, 3);
    for (let sent = 0; sent < 8; sent++) pair[second].write(block);
    pair[second].end();
    t.is((await answer).length, 8 << 20);
    const result = await done;
    t.is(result.endedBy, endedBy);
    t.is(result.bytesAb + result.bytesBa, (8 << 20) + 8);
  });

  test(`a RST of ${first} becomes a RST for ${second}`, async (t) => {
    const pair = await bridge(t, transport);
    const { done } = pair.splice();
    const left = howLeft(pair[second]);
    pair[first].write("begun");
    await settled(() => pair.moved.ab + pair.moved.ba, 30);
    pair[first].resetAndDestroy();
    t.is(await left, "reset");
    t.is((await done).endedBy, endedBy.replace("ended", "reset") as SpliceEnd);
  });

  test(`a RST of ${first} that comes together with its last bytes is no FIN for ${second}`, async (t) => {
    for (let round = 0; round < 20; round++) {
      const pair = await bridge(t, transport);
      const { done } = pair.splice();
      const left = howLeft(pair[second]);
      pair[first].write(Buffer.alloc(1000));
      pair[first].resetAndDestroy();
      t.is(await left, "reset");
      t.is((await done).endedBy, endedBy.replace("ended", "reset") as SpliceEnd);
    }
  });

  test(`a RST of ${first} before the splice becomes a RST for ${second}`, async (t) => {
    const pair = await bridge(t, transport);
    const left = howLeft(pair[second]);
    pair[first].resetAndDestroy();
    t.is(await (first === "rawA" ? pair.a : pair.b).hangup, "reset");
    const { done } = pair.splice();
    t.is(await left, "reset");
    t.is((await done).endedBy, endedBy.replace("ended", "reset") as SpliceEnd);
  });

  test(`a FIN of ${first} before the splice is passed on, and ${second} still answers`, async (t) => {
    const pair = await bridge(t, transport);
    pair[first].end("question");
    t.is(await (first === "rawA" ? pair.a : pair.b).hangup, "ended");
    const { done } = pair.splice();
    t.is((await readAll(pair[second])).toString(), "question");
    pair[second].end("answer");
    t.is((await readAll(pair[first])).toString(), "answer");
    t.is((await done).endedBy, endedBy);
  });
}

test("both FINs at once end the splice in order", async (t) => {
  const { rawA, rawB, splice } = await bridge(t, transport);
  const { done } = splice();
  const all = Promise.all([readAll(rawA), readAll(rawB)]);
  rawA.end("a");
  rawB.end("b");
  t.deepEqual((await all).map(String), ["b", "a"]);
  t.regex((await done).endedBy, /^[ab]_ended$/);
});

test("a server that answers, closes and resets the rest of the upload has its whole answer delivered", async (t) => {
  const { rawA, rawB, splice, moved } = await bridge(t, transport);
  const { done } = splice();
  rawA.pause();
  rawB.resume();
  // Fills every buffer up to the client, which reads nothing yet, so that the last bytes and the FIN are still queued in
  // the proxy, or in front of it, when the RST comes.
  const step = Buffer.alloc(16 << 10, 5);
  let answered = 0;
  do {
    rawB.write(step);
    answered += step.length;
    await settledAt(() => moved.ba, answered);
  } while (moved.ba === answered);
  rawB.end();
  await new Promise((resolve) => rawB.once("finish", resolve));
  // From here on the server's system answers every byte with a RST.
  rawB.destroy();
  for (let sent = 0; sent < 4; sent++) {
    rawA.write("more of the upload");
    await settled(() => moved.ab, 20);
  }
  t.is((await readAll(rawA)).length, answered);
  rawA.end();
  const result = await done;
  t.is(result.endedBy, "b_ended");
  t.is(result.bytesBa, answered);
});

test("silence is kept, and bytes after it flow", async (t) => {
  const { rawA, rawB, splice } = await bridge(t, transport);
  const { done } = splice({ idleTimeoutMs: 5000 });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const all = Promise.all([readAll(rawA), readAll(rawB)]);
  rawA.end("x");
  rawB.end("y");
  t.deepEqual((await all).map(String), ["y", "x"]);
  await done;
});

test("an idle splice is closed at its limit, and every byte puts that off", async (t) => {
  const { rawA, rawB, splice } = await bridge(t, transport);
  const started = performance.now();
  const { done } = splice({ idleTimeoutMs: 800, halfClosedTimeoutMs: 10_000 });
  const left = Promise.all([howLeft(rawA), howLeft(rawB)]);
  await new Promise((resolve) => setTimeout(resolve, 400));
  rawA.write("x");
  t.deepEqual(await done, { bytesAb: 1, bytesBa: 0, endedBy: "idle_timeout" });
  const tookMs = performance.now() - started;
  t.true(tookMs >= 1150 && tookMs < 4000, `${tookMs} ms`);
  await left;
});

test("a half-closed splice is closed at its own limit", async (t) => {
  const { rawA, rawB, splice } = await bridge(t, transport);
  const { done } = splice({ halfClosedTimeoutMs: 100 });
  const left = Promise.all([howLeft(rawA), howLeft(rawB)]);
  rawA.end("x");
  t.deepEqual(await done, { bytesAb: 1, bytesBa: 0, endedBy: "half_closed_timeout" });
  await left;
});

test("a reader that stalls after both FINs is closed at the half-closed limit", async (t) => {
  const { rawA, rawB, splice } = await bridge(t, transport);
  const { done } = splice({ halfClosedTimeoutMs: 200 });
  rawB.pause();
  rawB.end();
  for (let sent = 0; sent < 32; sent++) rawA.write(Buffer.alloc(1 << 20));
  rawA.end();
  t.is((await done).endedBy, "half_closed_timeout");
});

test("a cut closes both sides, and may be done again", async (t) => {
  const { rawA, rawB, splice } = await bridge(t, transport);
  const spliced = splice();
  const left = Promise.all([howLeft(rawA), howLeft(rawB)]);
  spliced.cut();
  t.is((await spliced.done).endedBy, "cut");
  await left;
  spliced.cut();
});

test("an endpoint that was destroyed before the splice takes the other with it", async (t) => {
  const { a, rawB, splice } = await bridge(t, transport);
  const left = howLeft(rawB);
  a.destroy();
  t.is((await splice().done).endedBy, "cut");
  await left;
});

test("a spliced endpoint is no longer the caller's", async (t) => {
  const { a, rawA, rawB, splice } = await bridge(t, transport);
  const reading = a.read(soon());
  const { done } = splice();
  await t.throwsAsync(reading, { code: "closed_here" });
  await t.throwsAsync(a.read(soon()), { code: "closed_here" });
  a.destroy();
  a.reset();
  a.end(Buffer.from("not sent"));
  a.write(Buffer.from("not sent"));
  const all = Promise.all([readAll(rawA), readAll(rawB)]);
  rawA.end("still");
  rawB.end("joined");
  t.deepEqual((await all).map(String), ["joined", "still"]);
  await done;
});

test("TCP and unix sockets are spliced, and a RST closes the unix side", async (t) => {
  const { endpoint: a, raw: rawA } = await acceptedPair(t, transport);
  const server = await rawServer(t, join(socketDirectory(t), "s"));
  const [b, rawB] = await Promise.all([transport.connect(server.address, soon()).connected, server.next()]);
  const { done } = transport.splice(a, b, { idleTimeoutMs: 9000, halfClosedTimeoutMs: 9000, moved() {} });
  rawA.write("over");
  const [bytes] = await new Promise<[Buffer]>((resolve) => rawB.resume().once("data", (chunk) => resolve([chunk])));
  t.is(bytes.toString(), "over");
  const left = howLeft(rawB);
  rawA.resetAndDestroy();
  await left;
  t.is((await done).endedBy, "a_reset");
});
