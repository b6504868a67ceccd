import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { join } from "node:path";
import test from "ava";
import { type Random, seededRandom } from "../fuzz/random.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { engineUnderTest } from "./engines.js";
import { acceptedPair, bridge, digestAll, rawServer, sendMany, settled, socketDirectory, soon } from "./peers.js";

const transport = engineUnderTest();
assertNothingLeft(test);

const quarry = Buffer.alloc(4 << 20);
for (let at = 0, state = 7; at < quarry.length; at += 4) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  quarry.writeUInt32LE(state, at);
}

/** Up to 3 MB in random pieces: most bodies small, some of nothing. */
function randomPieces(random: Random): Buffer[] {
  const total = random.pick([0, random.below(200), random.below(50_000), random.below(3_000_000)]);
  const pieces: Buffer[] = [];
  for (let left = total; left > 0; ) {
    const bytes = Math.min(left, 1 + random.below(random.pick([10, 5_000, 300_000])));
    const at = random.below(quarry.length - bytes);
    pieces.push(quarry.subarray(at, at + bytes));
    left -= bytes;
  }
  return pieces;
}

/** What one side does: some of its pieces, then it may wait for the other side's FIN, then the rest and its own FIN. */
async function send(socket: Socket, pieces: readonly Buffer[], waitAt: number, otherEnded: Promise<unknown>) {
  for (const [index, piece] of pieces.entries()) {
    if (index === waitAt) await otherEnded;
    if (!socket.write(piece)) await once(socket, "drain");
  }
  if (waitAt >= pieces.length) await otherEnded;
  socket.end();
}

const digest = (pieces: readonly Buffer[]) => {
  const hash = createHash("sha256");
  let bytes = 0;
  for (const piece of pieces) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { bytes, sha256: hash.digest("hex") };
};

test.serial("200 random bodies up to 3 MB, both ways, half-closed at random points, arrive unchanged", async (t) => {
  const seed = Number(process.env.PROXY_TEST_SEED ?? 20_26);
  t.log(`PROXY_TEST_SEED=${seed}`);
  const random = seededRandom(seed);
  const started = performance.now();
  let carried = 0;
  const one = async () => {
    const [fromA, fromB] = [randomPieces(random), randomPieces(random)];
    // At most one of the two waits for the other.
    const waits = random.below(3);
    const waitAtA = waits === 1 ? random.below(fromA.length + 1) : -1;
    const waitAtB = waits === 2 ? random.below(fromB.length + 1) : -1;
    const { rawA, rawB, splice } = await bridge(t, transport);
    const early = random.below(2) === 0;
    const joined = early ? splice() : undefined;
    const [atA, atB] = [digestAll(rawA), digestAll(rawB)];
    const sent = Promise.all([send(rawA, fromA, waitAtA, atA), send(rawB, fromB, waitAtB, atB)]);
    if (!early) await new Promise(setImmediate);
    const { done } = joined ?? splice();
    const [a, b] = [digest(fromA), digest(fromB)];
    t.deepEqual(await atB, a);
    t.deepEqual(await atA, b);
    await sent;
    t.like(await done, { bytesAb: a.bytes, bytesBa: b.bytes });
    carried += a.bytes + b.bytes;
  };
  for (let batch = 0; batch < 20; batch++) await Promise.all(Array.from({ length: 10 }, one));
  t.log(`${(carried / 2 ** 20).toFixed(0)} MiB in ${(performance.now() - started).toFixed(0)} ms`);
});

test("what was put back, what was written before, and bulk behind both arrive in order", async (t) => {
  const { a, b, rawA, rawB, splice } = await bridge(t, transport);
  const early = 6 << 20;
  // More than the system takes: the rest waits in the engine, before the bytes of A.
  rawB.pause();
  b.write(quarry);
  b.write(quarry.subarray(0, early - quarry.length));
  rawA.write(quarry.subarray(0, 100));
  const read = (await a.read(soon())) as Uint8Array;
  a.unread(Buffer.from(read.subarray(60)));
  a.unread(Buffer.from(read.subarray(0, 60)));
  const { done } = splice();
  const expected = createHash("sha256")
    .update(quarry)
    .update(quarry.subarray(0, early - quarry.length));
  expected.update(quarry.subarray(0, 100));
  for (let sent = 0; sent < 4; sent++) {
    rawA.write(quarry);
    expected.update(quarry);
  }
  rawA.end();
  await settled(() => rawA.bytesWritten, 50);
  const arrived = await digestAll(rawB);
  t.is(arrived.bytes, early + 100 + 4 * quarry.length);
  t.is(arrived.sha256, expected.digest("hex"));
  rawB.end();
  rawA.resume();
  const { bytesAb } = await done;
  t.is(bytesAb, 100 + 4 * quarry.length);
});

test("bulk goes through unix sockets, on one side and on both", async (t) => {
  const directory = socketDirectory(t);
  const server = await rawServer(t, join(directory, "server"));
  const connect = async () => {
    const [endpoint, raw] = await Promise.all([transport.connect(server.address, soon()).connected, server.next()]);
    return { endpoint, raw };
  };
  const limits = { idleTimeoutMs: 20_000, halfClosedTimeoutMs: 20_000, moved() {} };
  const [one, other] = [await connect(), await connect()];
  const tcp = await acceptedPair(t, transport);
  const third = await connect();
  const total = 24 << 20;
  for (const [a, b] of [
    [one, other],
    [tcp, third],
  ] as const) {
    const { done } = transport.splice(a.endpoint, b.endpoint, limits);
    const [atA, atB, fromA, fromB] = await Promise.all([
      digestAll(a.raw),
      digestAll(b.raw),
      sendMany(a.raw, total, 1),
      sendMany(b.raw, total, 2),
    ]);
    t.deepEqual([atB, atA], [fromA, fromB]);
    t.like(await done, { bytesAb: total, bytesBa: total });
  }
});

test("a splice over which bytes trickle is not idle", async (t) => {
  const { rawA, rawB, splice } = await bridge(t, transport);
  const { done } = splice({ idleTimeoutMs: 400, halfClosedTimeoutMs: 10_000 });
  rawB.resume();
  rawA.resume();
  const started = performance.now();
  // To and fro, for three times the limit.
  for (let sent = 0; sent < 12; sent++) {
    (sent % 2 === 0 ? rawA : rawB).write(".");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const lastAt = performance.now();
  t.like(await done, { bytesAb: 6, bytesBa: 6, endedBy: "idle_timeout" });
  t.true(lastAt - started >= 1200 - 50);
  t.true(performance.now() - lastAt < 2000);
});
