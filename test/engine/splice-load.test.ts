import test from "ava";
import type { Endpoint } from "../../src/transport/endpoint.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { memoryAlive } from "../harness/memory.js";
import { engineUnderTest } from "./engines.js";
import {
  bridge,
  digestAll,
  listenOn,
  portOf,
  rawConnect,
  rawServer,
  readAll,
  sendMany,
  settled,
  soon,
} from "./peers.js";

const transport = engineUnderTest();
assertNothingLeft(test);

test.serial("64 MiB each way at once arrive unchanged", async (t) => {
  const { rawA, rawB, splice, moved } = await bridge(t, transport);
  const { done } = splice();
  const total = 64 << 20;
  const [atA, atB, fromA, fromB] = await Promise.all([
    digestAll(rawA),
    digestAll(rawB),
    sendMany(rawA, total, 1),
    sendMany(rawB, total, 2),
  ]);
  t.deepEqual(atB, fromA);
  t.deepEqual(atA, fromB);
  const result = await done;
  t.deepEqual([result.bytesAb, result.bytesBa], [total, total]);
  t.deepEqual(moved, { ab: total, ba: total });
});

test.serial("a stalled reader holds its sender back in bounded memory, and other flows go on", async (t) => {
  const stalled = await bridge(t, transport);
  const { done } = stalled.splice();
  stalled.rawB.pause();
  const total = 32 << 20;
  const before = (await memoryAlive()).bufferBytes;
  const sent = sendMany(stalled.rawA, total, 3);
  const stuckAt = await settled(() => stalled.moved.ab);
  t.true(stuckAt < total, "the sender is held back");
  const grown = (await memoryAlive()).bufferBytes - before;
  t.true(grown < 2 << 20, `${grown} bytes more in memory`);

  const other = await bridge(t, transport);
  const otherDone = other.splice().done;
  const all = Promise.all([readAll(other.rawA), readAll(other.rawB)]);
  other.rawA.end("not");
  other.rawB.end("stalled");
  t.deepEqual((await all).map(String), ["stalled", "not"]);
  await otherDone;

  const received = await digestAll(stalled.rawB);
  t.deepEqual(received, await sent);
  stalled.rawB.end();
  stalled.rawA.resume();
  t.is((await done).bytesAb, total);
});

test.serial("500 splices at once each carry their own bytes", async (t) => {
  const server = await rawServer(t);
  const ends: Promise<unknown>[] = [];
  const join = async (a: Endpoint) => {
    const b = await transport.connect(server.address, soon()).connected;
    const limits = { idleTimeoutMs: 20_000, halfClosedTimeoutMs: 20_000, moved() {} };
    return transport.splice(a, b, limits).done;
  };
  const listener = await listenOn(t, transport, (a) => {
    ends.push(join(a));
  });
  const count = 500;
  const serving = (async () => {
    for (let served = 0; served < count; served++) {
      const raw = await server.next();
      readAll(raw).then((question) => raw.end(Buffer.concat([question, question])));
    }
  })();
  const answers = Array.from({ length: count }, async (_, index) => {
    const raw = rawConnect(t, { port: portOf(listener) });
    raw.end(`client ${index} `.repeat(index));
    return (await readAll(raw)).toString() === `client ${index} `.repeat(2 * index);
  });
  t.true((await Promise.all(answers)).every(Boolean));
  await serving;
  t.is((await Promise.all(ends)).length, count);
});
