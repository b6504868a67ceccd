import test, { type ExecutionContext } from "ava";
import { eAgain, eMfile, ePerm } from "../../src/transport/epoll/abi.js";
import type { Libc } from "../../src/transport/epoll/libc.js";
import { loadLibc } from "../../src/transport/epoll/libc.js";
import { createPipes, type Pipe } from "../../src/transport/epoll/pipes.js";
import { passOver } from "../harness/needs.js";
import { paperKernel } from "./epoll-paper-kernel.js";

/** Gives out pipes 30/31, 32/33, ... */
function pipeMaker(behaviour: Partial<Libc> = {}) {
  let next = 30;
  const made: number[] = [];
  const libc: Partial<Libc> = {
    pipe(ends) {
      new Int32Array(ends.buffer).set([next, next + 1]);
      made.push(next);
      next += 2;
      return 0;
    },
    control: (_pipe, _command, bytes) => bytes,
    ...behaviour,
  };
  return { made, libc };
}

test("a pipe that came back empty is lent again, and one with leftovers is closed and never lent again", (t) => {
  const { libc } = pipeMaker();
  const { loop, calls } = paperKernel(libc);
  const pipes = createPipes(loop, 2);
  const first = pipes.lend() as Pipe;
  pipes.takeBack(first, 0);
  t.is(pipes.lend(), first);
  pipes.takeBack(first, 5);
  t.deepEqual(calls, ["close 30", "close 31"]);
  const second = pipes.lend() as Pipe;
  t.deepEqual(second, { out: 32, in: 33 });
  t.deepEqual(pipes.lend(), { out: 34, in: 35 }, "the closed one counts no longer");
  t.is(pipes.lend(), undefined);
  loop.stop();
});

test("a leftover that was planted in a real pipe reaches nobody", (t) => {
  const libc = libcOr(t);
  if (libc === undefined) return;
  const { loop } = paperKernel({ pipe: libc.pipe, control: libc.control, close: libc.close });
  const pipes = createPipes(loop, 1);
  for (let round = 0; round < 20; round++) {
    const pipe = pipes.lend() as Pipe;
    t.is(libc.read(pipe.out, new Uint8Array(64), 64), eAgain, "nothing is in it");
    t.is(libc.write(pipe.in, Buffer.from("secret"), 6), 6);
    const left = round % 2 === 0 ? 6 : 2;
    if (left < 6) t.is(libc.read(pipe.out, new Uint8Array(64), 4), 4);
    pipes.takeBack(pipe, left);
  }
  loop.stop();
});

test("no more pipes are made than allowed, and idle ones are closed when nothing goes on", (t) => {
  const { made, libc } = pipeMaker();
  const { loop, calls, ownership } = paperKernel(libc);
  const pipes = createPipes(loop, 3);
  const lent = [pipes.lend(), pipes.lend(), pipes.lend()] as Pipe[];
  t.is(pipes.lend(), undefined);
  for (const pipe of lent) pipes.takeBack(pipe, 0);
  pipes.closeIdle();
  t.deepEqual([made.length, calls.length, ownership.all()], [3, 6, []]);
  t.truthy(pipes.lend());
  loop.stop();
});

test("after the system has refused a pipe none is asked for in the next second", (t) => {
  for (const refusal of [
    { pipe: () => eMfile },
    { control: () => ePerm },
    { control: () => 4096 },
  ] as Partial<Libc>[]) {
    const { made, libc } = pipeMaker(refusal);
    let asked = 0;
    const pipe = libc.pipe as Libc["pipe"];
    const { loop, ownership } = paperKernel({ ...libc, pipe: (ends, flags) => ++asked && pipe(ends, flags) });
    const pipes = createPipes(loop, 3);
    t.is(pipes.lend(), undefined);
    t.is(pipes.lend(), undefined);
    t.is(asked, 1);
    t.deepEqual(ownership.all(), [], "what was made is closed again");
    loop.now += 1001;
    t.is(pipes.lend(), undefined);
    t.is(asked, 2);
    t.true(made.length <= 2);
    loop.stop();
  }
});

test("a pipe that is lent when the loop stops is closed with it, and coming back harms nobody", (t) => {
  const { libc } = pipeMaker();
  const { loop, calls } = paperKernel(libc);
  const pipes = createPipes(loop, 1);
  const pipe = pipes.lend() as Pipe;
  loop.stop();
  t.deepEqual(calls, ["close 30", "close 31"]);
  pipes.takeBack(pipe, 7);
  t.is(calls.length, 2);
});

function libcOr(t: ExecutionContext): Libc | undefined {
  try {
    return loadLibc();
  } catch {
    passOver(t, "koffi on Linux");
    return undefined;
  }
}

test("bug: pipes, which only save time, took the descriptors that clients need", (t) => {
  const { libc } = pipeMaker();
  const { loop, calls, ownership } = paperKernel(libc);
  // Of 44 descriptors the last eleven, from 33 on, are not for pipes.
  const pipes = createPipes(loop, 8, 44);
  t.deepEqual(pipes.lend(), { out: 30, in: 31 });
  t.is(pipes.lend(), undefined);
  t.deepEqual(calls, ["close 32", "close 33"]);
  t.is(pipes.lend(), undefined, "none is asked for in the next second");
  t.is(calls.length, 2);
  t.deepEqual(ownership.all(), [30, 31]);
  loop.stop();
});
