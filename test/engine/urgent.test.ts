import type { Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import { loadLibc } from "../../src/transport/epoll/libc.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { passOver } from "../harness/needs.js";
import { engineUnderTest } from "./engines.js";
import { bridge, digestAll, readAll, settled } from "./peers.js";

const transport = engineUnderTest();
assertNothingLeft(test);

const outOfBand = 1;

/** Sends one byte as urgent data (RFC 9293 §3.8.5), which Node cannot. False where the system cannot be called. */
function sendUrgent(t: ExecutionContext, socket: Socket): boolean {
  const { fd } = (socket as Socket & { _handle: { fd: number } })._handle;
  try {
    t.is(loadLibc().send(fd, Buffer.from("!"), 1, outOfBand), 1);
    return true;
  } catch {
    passOver(t, "koffi on Linux");
    return false;
  }
}

/** Whether the byte itself arrives is the receiving system's choice. */
const withoutMark = (bytes: Buffer) => bytes.toString().replace("!", "");

async function written(socket: Socket, bytes: string): Promise<void> {
  await new Promise<unknown>((resolve) => socket.write(bytes, resolve));
}

test("bug: bytes behind an urgent one were lost where the FIN had come too", async (t) => {
  const { a, rawA, rawB, splice } = await bridge(t, transport);
  await written(rawA, "before ");
  if (!sendUrgent(t, rawA)) return;
  rawA.end("after");
  t.is(await a.hangup, "ended");
  splice();
  t.is(withoutMark(await readAll(rawB)), "before after");
});

test("bug: bytes behind an urgent one waited until more came", async (t) => {
  const { rawA, rawB, splice } = await bridge(t, transport);
  await written(rawA, "before ");
  if (!sendUrgent(t, rawA)) return;
  await written(rawA, "after");
  splice();
  let received = "";
  rawB.resume().on("data", (bytes) => {
    received += bytes;
  });
  await settled(() => received.length);
  t.is(withoutMark(Buffer.from(received)), "before after");
});

test("bug: an urgent byte in a bulk flow stopped it for good", async (t) => {
  const { rawA, rawB, splice } = await bridge(t, transport);
  splice();
  const all = digestAll(rawB);
  const block = Buffer.alloc(1 << 20, "b");
  for (let sent = 0; sent < 16; sent++) {
    await new Promise<unknown>((resolve) => rawA.write(block, resolve));
    if (sent % 4 === 1 && !sendUrgent(t, rawA)) return;
  }
  rawA.end();
  const { bytes } = await all;
  t.true(bytes >= 16 << 20 && bytes <= (16 << 20) + 4, `${bytes} bytes`);
});
