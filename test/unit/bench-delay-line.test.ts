import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import test from "ava";
import { openDelayLine } from "../../bench/load/delay-line.js";
import { assertNothingLeft } from "../harness/leaks.js";

assertNothingLeft(test);

const delayMs = 20;
/** A timer must never be early; floating point may be, by this. */
const epsilonMs = 0.01;

test("bytes take the delay in each direction, after a handshake of a round trip, within the line's own error", async (t) => {
  const server = createServer((socket) => socket.on("data", (chunk) => socket.write(chunk)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const line = await openDelayLine((server.address() as AddressInfo).port, delayMs);
  const startedAt = performance.now();
  const socket = connect(line.port, "127.0.0.1");
  socket.setNoDelay(true);
  socket.write("first");
  await once(socket, "data");
  const first = performance.now() - startedAt;
  const againAt = performance.now();
  socket.write("again");
  await once(socket, "data");
  const again = performance.now() - againAt;
  const errors = line.errorsMs();
  socket.destroy();
  await line.close();
  server.close();
  await once(server, "close");

  // Handshake there and back, hello there, answer back; then only there and back.
  t.true(first >= 4 * delayMs - epsilonMs, `first ${first} ms`);
  t.true(again >= 2 * delayMs - epsilonMs, `again ${again} ms`);
  t.true(errors.length >= 4);
  t.true(Math.min(...errors) >= 0);
  // What the line owns up to is what is too much, but for the way to it and from it, which the machine's other work may hold up.
  const owned = errors.reduce((sum, error) => sum + error, 0);
  t.true(again - 2 * delayMs <= owned + 50, `again ${again} ms, own error ${owned} ms`);
});

test("order is kept, and both ends of the stream arrive", async (t) => {
  const received: Buffer[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("data", (chunk) => received.push(chunk));
    socket.on("end", () => socket.end("bye"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const line = await openDelayLine((server.address() as AddressInfo).port, 5);
  const socket = connect({ port: line.port, host: "127.0.0.1", allowHalfOpen: true });
  const sent = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
  for (let at = 0; at < sent.length; at += 50_000) socket.write(sent.subarray(at, at + 50_000));
  socket.end();
  let answer = "";
  socket.on("data", (chunk) => {
    answer += chunk;
  });
  await once(socket, "end");
  await line.close();
  server.close();
  await once(server, "close");
  t.is(answer, "bye");
  t.true(Buffer.concat(received).equals(sent));
});
