import { once } from "node:events";
import { connect, createServer } from "node:net";
import test from "ava";
import { assertNothingLeft } from "../harness/leaks.js";
import { memoryAlive } from "../harness/memory.js";
import { engineUnderTest } from "./engines.js";
import { openDescriptors } from "./hop.js";
import { listenOn, portOf, soon } from "./peers.js";

const transport = engineUnderTest();
assertNothingLeft(test);

const waves = 50;
const clientsInWave = 200;
/** By then everything is compiled, and every cache is as large as it gets. */
const warmWaves = 10;

test.serial("10,000 short connections in waves leave no descriptor, pipe or memory behind", async (t) => {
  // Its own sockets: those of peers.ts are kept until the test ends, to be closed then.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {}).once("data", () => socket.end("answer"));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.close();
  });
  const { port } = server.address() as { port: number };
  const limits = { idleTimeoutMs: 30_000, halfClosedTimeoutMs: 30_000, moved() {} };
  let ended = 0;
  let waveOver = () => {};
  const listener = await listenOn(t, transport, async (a) => {
    const b = await transport.connect({ kind: "tcp", ip: "127.0.0.1", port }, soon()).connected;
    transport.splice(a, b, limits).whenDone(() => {
      ended++;
      if (ended % clientsInWave === 0) waveOver();
    });
  });

  const client = (index: number) =>
    new Promise<void>((resolve) => {
      const socket = connect({ port: portOf(listener), host: "127.0.0.1", allowHalfOpen: true });
      // Most leave in order, some without a farewell.
      const leave = () => (index % 20 === 0 ? socket.resetAndDestroy() : socket.end());
      socket.on("error", () => {}).once("close", () => resolve());
      socket.resume().once(index % 10 === 0 ? "data" : "end", leave);
      socket.write("question");
    });
  const wave = async () => {
    const over = new Promise<void>((resolve) => {
      waveOver = resolve;
    });
    await Promise.all(Array.from({ length: clientsInWave }, (_, index) => client(index)));
    await over;
  };

  for (let done = 0; done < warmWaves; done++) await wave();
  const before = { ...openDescriptors(), ...(await memoryAlive()) };
  for (let done = warmWaves; done < waves; done++) await wave();
  const after = { ...openDescriptors(), ...(await memoryAlive()) };
  const heapBytes = after.heapBytes - before.heapBytes;
  const bufferBytes = after.bufferBytes - before.bufferBytes;
  t.log(`${heapBytes} bytes of heap and ${bufferBytes} of buffers more`);
  t.is(ended, waves * clientsInWave);
  t.deepEqual([after.all, after.pipeEnds], [before.all, before.pipeEnds]);
  const connections = (waves - warmWaves) * clientsInWave;
  t.true(heapBytes < connections * 50, `${heapBytes} bytes of heap`);
  t.true(bufferBytes < connections * 50, `${bufferBytes} bytes of buffers`);
});
