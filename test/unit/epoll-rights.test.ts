import { closeSync, fstatSync, openSync } from "node:fs";
import test from "ava";
import {
  afUnix,
  messageLayout,
  scmRights,
  sockCloexec,
  sockNonblock,
  sockStream,
  solSocket,
} from "../../src/transport/epoll/abi.js";
import { type Libc, loadLibc } from "../../src/transport/epoll/libc.js";
import {
  decodeRights,
  encodeMessageHeader,
  encodeRights,
  mostRights,
  type ReceivedRights,
  receiveRights,
  sendRights,
} from "../../src/transport/epoll/rights.js";
import { passOver } from "../harness/needs.js";

test("a control message has its length, level and type, and descriptors of four bytes", (t) => {
  const bytes = encodeRights([3, 258, 70_000]);
  t.is(bytes.length, 32, "28, aligned to 8");
  const view = new DataView(bytes.buffer);
  t.is(view.getBigUint64(0, true), 28n);
  t.is(view.getInt32(8, true), solSocket);
  t.is(view.getInt32(12, true), scmRights);
  t.deepEqual(
    [16, 20, 24].map((at) => view.getInt32(at, true)),
    [3, 258, 70_000],
  );
  t.deepEqual(decodeRights(bytes), [3, 258, 70_000]);
});

test("several control messages are read, and others are passed over", (t) => {
  const other = encodeRights([9]);
  new DataView(other.buffer).setInt32(messageLayout.control.type, 2, true);
  t.deepEqual(decodeRights(Buffer.concat([encodeRights([1]), other, encodeRights([2, 3])])), [1, 2, 3]);
});

test("a length that musl wrote in four bytes is read, whatever its padding", (t) => {
  const bytes = encodeRights([5]);
  new DataView(bytes.buffer).setUint32(4, 0xffffffff, true);
  t.deepEqual(decodeRights(bytes), [5]);
});

test("a control part that is cut, or says it is longer than it is, gives nothing beyond its end", (t) => {
  const bytes = encodeRights([5, 6]);
  for (let length = 0; length < bytes.length; length++) t.deepEqual(decodeRights(bytes.subarray(0, length)), []);
  const endless = encodeRights([5]);
  new DataView(endless.buffer).setUint32(0, 0, true);
  t.deepEqual(decodeRights(endless), []);
});

test("a message header names its vector, which names the payload", (t) => {
  const { header, vector } = encodeMessageHeader({ at: 0x1122n, bytes: 10 }, { at: 0x3344n, bytes: 24 }, () => 0x5566n);
  const [head, part] = [new DataView(header.buffer), new DataView(vector.buffer)];
  t.is(header.length, 56);
  t.is(head.getBigUint64(0, true), 0n, "no address: the socket is connected");
  t.is(head.getBigUint64(16, true), 0x5566n);
  t.is(head.getBigUint64(24, true), 1n);
  t.is(head.getBigUint64(32, true), 0x3344n);
  t.is(head.getBigUint64(40, true), 24n);
  t.is(part.getBigUint64(0, true), 0x1122n);
  t.is(part.getBigUint64(8, true), 10n);
});

function libcHere(): Libc | undefined {
  try {
    return loadLibc();
  } catch {
    return undefined;
  }
}

function socketPair(libc: Libc): [number, number] {
  const pair = new Int32Array(2);
  libc.socketPair(afUnix, sockStream | sockNonblock | sockCloexec, 0, pair as unknown as Uint8Array);
  return [pair[0]!, pair[1]!];
}

test("descriptors arrive with the text that they were sent with, as many as the system takes", (t) => {
  const libc = libcHere();
  if (libc === undefined) return passOver(t, "koffi on Linux");
  const [from, to] = socketPair(libc);
  const file = openSync("/dev/null", "r");
  const sent = Array.from({ length: mostRights }, () => file);
  t.is(sendRights(libc, from, "first\n", sent), 6);
  t.is(sendRights(libc, from, "second\n", [file]), 7);
  const first = receiveRights(libc, to) as ReceivedRights;
  t.is(Buffer.from(first.bytes).toString(), "first\n");
  t.is(first.descriptors.length, mostRights);
  t.false(first.truncated);
  const second = receiveRights(libc, to) as ReceivedRights;
  t.is(Buffer.from(second.bytes).toString(), "second\n");
  t.is(fstatSync(second.descriptors[0]!).rdev, fstatSync(file).rdev);
  t.true((receiveRights(libc, to) as number) < 0, "nothing is there");
  for (const each of [from, to, file, ...first.descriptors, ...second.descriptors]) closeSync(each);
});
