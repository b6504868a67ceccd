import test from "ava";
import { loadLibc } from "../../src/transport/epoll/libc.js";
import {
  assign,
  closeOwnedBy,
  createOwnership,
  mainThread,
  ownedBy,
  ownerOfWorker,
} from "../../src/transport/epoll/ownership.js";
import { createEventDescriptor, wake } from "../../src/transport/epoll/wake.js";
import { passOver } from "../harness/needs.js";

const table = () => new SharedArrayBuffer(1024 * 4);

test("a descriptor that another thread owns is neither closed nor given away nor taken", (t) => {
  const shared = table();
  const first = createOwnership(shared, ownerOfWorker(0));
  const second = createOwnership(shared, ownerOfWorker(1));
  t.true(first.take(7));
  t.throws(() => second.drop(7), { code: "internal" });
  t.throws(() => second.give(7, mainThread), { code: "internal" });
  t.throws(() => second.take(7), { code: "internal" });
  t.true(first.owns(7));
});

test("what was given away is the other's alone", (t) => {
  const shared = table();
  const first = createOwnership(shared, ownerOfWorker(0));
  const second = createOwnership(shared, ownerOfWorker(1));
  first.take(7);
  first.give(7, ownerOfWorker(1));
  t.throws(() => first.drop(7), { code: "internal" });
  second.drop(7);
  t.true(first.take(7), "its number may come again");
});

test("a descriptor beyond the table is not taken", (t) => {
  t.false(createOwnership(table(), mainThread).take(1024));
});

test("what a thread leaves is closed, but for what is to outlive it", (t) => {
  try {
    loadLibc();
  } catch {
    return passOver(t, "koffi on Linux");
  }
  const shared = table();
  const dead = ownerOfWorker(3);
  const [listening, leftover] = [createEventDescriptor(), createEventDescriptor()];
  t.true(assign(shared, listening, dead));
  t.true(assign(shared, leftover, dead));
  t.deepEqual(closeOwnedBy(shared, dead, new Set([listening])), [leftover]);
  t.deepEqual(ownedBy(shared, dead), [listening]);
  wake(listening);
  t.deepEqual(closeOwnedBy(shared, dead, new Set()), [listening]);
});
