import { once } from "node:events";
import type { Socket } from "node:net";
import test from "ava";
import { assertNothingLeft } from "../harness/leaks.js";
import { engineUnderTest } from "./engines.js";
import { hop } from "./hop.js";
import { bridge } from "./peers.js";

const transport = engineUnderTest();
assertNothingLeft(test);

const connections = 200;
const questions = 10;

/** Asks one question after the other; resolves with the milliseconds that each took. */
async function ask(client: Socket): Promise<number[]> {
  const took: number[] = [];
  await once(client, "connect");
  for (let question = 0; question < questions; question++) {
    const started = performance.now();
    client.write(Buffer.alloc(200, question));
    for (let left = 200; left > 0; ) left -= ((await once(client, "data")) as [Buffer])[0].length;
    // In the first one the connection to the server is made.
    if (question > 0) took.push(performance.now() - started);
  }
  client.end();
  return took;
}

test.serial("a stream at full speed does not starve 200 that ask and answer", async (t) => {
  const stream = await bridge(t, transport);
  const spliced = stream.splice({ idleTimeoutMs: 60_000 });
  let received = 0;
  stream.rawB.on("data", (bytes) => {
    received += bytes.length;
  });
  const block = Buffer.alloc(1 << 20);
  let going = true;
  const pour = () => {
    while (going && stream.rawA.write(block));
  };
  stream.rawA.on("drain", pour);
  stream.rawB.resume();
  pour();

  const crowd = await hop(t, transport);
  const echo = async () => {
    for (let come = 0; come < connections; come++) {
      const socket = await crowd.server();
      socket.resume();
      socket.on("data", (bytes) => socket.write(bytes)).once("end", () => socket.end());
    }
  };
  const echoing = echo();
  const startedAt = received;
  const asked = Array.from({ length: connections }, () => ask(crowd.client()));
  const took = (await Promise.all(asked)).flat().toSorted((a, b) => a - b);
  await echoing;
  const streamed = received - startedAt;
  going = false;
  spliced.cut();
  stream.rawA.destroy();
  await spliced.done;
  await crowd.over(connections);

  const p = (percent: number) => (took[Math.ceil((took.length * percent) / 100) - 1] as number).toFixed(1);
  t.log(`p50 ${p(50)} ms, p99 ${p(99)} ms, beside ${(streamed / 2 ** 20).toFixed(0)} MiB`);
  t.is(took.length, connections * (questions - 1));
  t.true(Number(p(99)) < 2000, `p99 ${p(99)} ms`);
  t.true(streamed > 1 << 20, "nor does the crowd starve the stream");
});
