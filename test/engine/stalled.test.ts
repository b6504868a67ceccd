import type { Socket } from "node:net";
import test from "ava";
import { descriptorLimit } from "../../src/transport/descriptors.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { passOver } from "../harness/needs.js";
import { engineUnderTest } from "./engines.js";
import { hop, openDescriptors } from "./hop.js";
import { bridge, readAll, settled, socketDirectory } from "./peers.js";

const maxPipes = 8;
const transport = engineUnderTest({ maxPipes });
assertNothingLeft(test);

const readers = 1000;
const bodyBytes = 640 * 1024;

/** Where each body is cut from, so that no two are the same, and all cost the memory of one. */
const quarry = Buffer.alloc(bodyBytes + 4 * readers);
for (let at = 0, state = 1; at < quarry.length; at += 4) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  quarry.writeUInt32LE(state, at);
}
const bodyOf = (reader: number) => quarry.subarray(4 * reader, 4 * reader + bodyBytes);

/** Reads a number, and then the body that belongs to it, up to the FIN. False where it is not that body. */
async function bodyArrives(socket: Socket, head: Buffer): Promise<boolean> {
  const expected = bodyOf(head.readUInt32LE(0));
  const rest = head.subarray(4);
  let same = rest.equals(expected.subarray(0, rest.length));
  let at = rest.length;
  socket.on("data", (bytes: Buffer) => {
    same &&= expected.compare(bytes, 0, bytes.length, at, at + bytes.length) === 0;
    at += bytes.length;
  });
  await new Promise((resolve) => socket.once("end", resolve).resume());
  return same && at === bodyBytes;
}

function firstBytes(socket: Socket): Promise<Buffer> {
  return new Promise((resolve) => {
    socket.once("data", (bytes: Buffer) => {
      socket.pause();
      resolve(bytes);
    });
    socket.resume();
  });
}

test.serial(
  "1,000 readers that stall keep to the pipes allowed, others go on, and all bytes arrive when they wake",
  async (t) => {
    if (descriptorLimit() < 6 * readers) return passOver(t, `${6 * readers} descriptors`);
    const before = openDescriptors();
    let moved = 0;
    const crowd = await hop(t, transport, {
      directory: socketDirectory(t),
      limits: {
        moved: (_direction, bytes) => {
          moved += bytes;
        },
      },
    });
    const stalled: { socket: Socket; head: Buffer }[] = [];
    const seated = (async () => {
      while (stalled.length < readers) {
        const socket = await crowd.server();
        stalled.push({ socket, head: await firstBytes(socket) });
      }
    })();
    const senders: Socket[] = [];
    for (let reader = 0; reader < readers; reader++) {
      const client = crowd.client();
      const head = Buffer.alloc(4);
      head.writeUInt32LE(reader);
      client.write(head);
      client.end(bodyOf(reader));
      senders.push(client);
    }
    await seated;
    await settled(() => moved);
    t.true(moved < readers * bodyBytes, "the senders are held back");

    if (transport.engine === "epoll") {
      const pipeEnds = openDescriptors().pipeEnds - before.pipeEnds;
      t.true(pipeEnds <= 2 * maxPipes, `${pipeEnds} ends of pipes`);
      t.true(pipeEnds > 0, "some have one");
    }

    const other = await bridge(t, transport);
    const { done } = other.splice();
    const both = Promise.all([readAll(other.rawA), readAll(other.rawB)]);
    other.rawA.end("goes on");
    other.rawB.end(Buffer.alloc(4 << 20));
    t.deepEqual(
      (await both).map((bytes) => bytes.length),
      [4 << 20, 7],
    );
    await done;

    const arriving = stalled.map(({ socket, head }) => bodyArrives(socket, head));
    t.true((await Promise.all(arriving)).every(Boolean));
    for (const { socket } of stalled) socket.end();
    for (const client of senders) client.resume();
    await crowd.over(readers);
    t.true(crowd.results.every(({ bytesAb, bytesBa }) => bytesAb === bodyBytes + 4 && bytesBa === 0));
  },
);
