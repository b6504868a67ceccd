import { spawnSync } from "node:child_process";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { descriptorLimit } from "../../src/transport/descriptors.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { passOver } from "../harness/needs.js";
import { startChild } from "./child.js";
import { engineUnderTest } from "./engines.js";
import { digestAll, howLeft, rawConnect, rawServer, readAll, sendMany, settled } from "./peers.js";

assertNothingLeft(test);

const onLinux = process.platform === "linux" ? test : test.skip;
const onEpoll = engineUnderTest().engine === "epoll" ? test : test.skip;
const nobody = 65_534;
const manyReaders = 1000;
/** As hop-process.ts has it. */
const hopPipes = 64;
/** Of a process that is short of them. */
const descriptors = 80;

interface Line {
  readonly port?: number;
  readonly hoarded?: number;
  readonly failed?: string;
  readonly descriptors?: number;
  readonly pipeEnds?: number;
  readonly largest?: number;
}

const isAnswer = (line: Line) => line.descriptors !== undefined;

async function hopProcess(
  t: ExecutionContext,
  args: readonly number[] = [],
  options: Parameters<typeof startChild>[3] = {},
) {
  const server = await rawServer(t);
  if (server.address.kind === "unix") throw new Error("a port was asked for");
  const child = startChild<Line>(t, "./hop-process.js", [server.address.port, ...args], options);
  const { port, hoarded } = await child.line((line) => line.port !== undefined);
  return { child, server, hoarded: hoarded ?? 0, client: () => rawConnect(t, { port: port as number }) };
}

/** Clients whose servers do not read, with as many bytes on their way as go. */
async function stall(flows: number, hop: Awaited<ReturnType<typeof hopProcess>>, bytes: number) {
  const pairs: { client: Socket; server: Socket; sent: ReturnType<typeof sendMany> }[] = [];
  for (let flow = 0; flow < flows; flow++) {
    const client = hop.client();
    const sent = sendMany(client, bytes, flow);
    pairs.push({ client, server: await hop.server.next(), sent });
  }
  await settled(() => pairs.reduce((total, { client }) => total + client.bytesWritten - client.writableLength, 0));
  return pairs;
}

/** Whether all that was sent arrives, now that the servers read. */
async function allArrive(pairs: Awaited<ReturnType<typeof stall>>): Promise<boolean> {
  const same = pairs.map(async ({ client, server, sent }) => {
    const received = await digestAll(server);
    server.end();
    await readAll(client);
    return received.sha256 === (await sent).sha256;
  });
  return (await Promise.all(same)).every(Boolean);
}

onLinux(
  "out of descriptors at connect and for pipes, what is joined flows on, and new ones are served later",
  async (t) => {
    const hop = await hopProcess(t, [], { descriptors });
    const before = (await hop.child.ask(isAnswer)).descriptors as number;
    const held = async () => (await hop.child.ask(isAnswer)).descriptors as number;
    // All are accepted before one of them speaks, and then there are not enough left for the connections to the server.
    const crowd = Array.from({ length: Math.floor(0.85 * descriptors) - before }, () => hop.client());
    while ((await held()) < before + crowd.length) t.is(crowd.filter(({ destroyed }) => destroyed).length, 0);
    for (const client of crowd) client.write("x");
    t.is((await hop.child.line((line) => line.failed !== undefined)).failed, "descriptors_exhausted");
    for (const client of crowd) client.destroy();
    // A client that has left is passed on as a FIN: the joined are over when their servers have left too.
    while ((await held()) > before) {
      for (const server of hop.server.takeAll()) server.destroy();
    }

    // With a pipe for each of them it could not accept them all.
    const flows = Math.floor((0.9 * descriptors - before) / 4) + 3;
    const pairs = await stall(flows, hop, 8 << 20);
    t.true(flows > 12);
    t.true(await allArrive(pairs));
    const last = hop.client();
    last.end("served");
    const server = await hop.server.next();
    t.is((await readAll(server)).toString(), "served");
  },
);

/** For a process without privileges; undefined where it could not read what it is to run. */
function unprivileged(): { uid?: number; gid?: number } | undefined {
  const user = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {};
  const script = fileURLToPath(new URL("./hop-process.js", import.meta.url));
  const read = `require("node:fs").accessSync(${JSON.stringify(script)})`;
  return spawnSync(process.execPath, ["-e", read], user).status === 0 ? user : undefined;
}

onEpoll(
  "without privileges, 1,000 readers that stall keep to the pipes allowed, others go on, and all bytes arrive when they wake",
  async (t) => {
    const user = unprivileged();
    if (user === undefined) return passOver(t, "a folder that an unprivileged user may read");
    if (descriptorLimit() < 3 * manyReaders) return passOver(t, `${3 * manyReaders} descriptors`);
    const hop = await hopProcess(t, [], user);
    const before = await hop.child.ask(isAnswer);
    const pairs = await stall(manyReaders, hop, 640 << 10);
    const during = await hop.child.ask(isAnswer);
    const pipes = ((during.pipeEnds as number) - (before.pipeEnds as number)) / 2;
    t.log(`${pipes} pipes for ${manyReaders} stalled readers, the largest of ${during.largest} bytes`);
    t.true(pipes > 0 && pipes <= hopPipes, `${pipes} pipes`);
    t.true(await allArrive(await stall(1, hop, 8 << 20)), "another one goes on");
    t.true(await allArrive(pairs));
  },
);

onEpoll(
  "without privileges and with hardly a share of pipe memory left, flows have few pipes or none, and flow on",
  async (t) => {
    const user = unprivileged();
    if (user === undefined) return passOver(t, "a folder that an unprivileged user may read");
    for (const pipesLeft of [2, 0]) {
      const hop = await hopProcess(t, [pipesLeft], user);
      if (hop.hoarded > 4000) return passOver(t, "a limit of pipe memory (pipe-user-pages-soft)");
      const before = await hop.child.ask(isAnswer);
      const pairs = await stall(12, hop, 8 << 20);
      const during = await hop.child.ask(isAnswer);
      const pipes = ((during.pipeEnds as number) - (before.pipeEnds as number)) / 2;
      t.log(`${hop.hoarded / 2} pipes taken before; ${pipes} pipes for 12 flows in bulk`);
      t.true(pipes <= pipesLeft + 4, `${pipes} pipes`);
      t.true(await allArrive(pairs));
      const after = await hop.child.ask(isAnswer);
      t.true((after.pipeEnds as number) <= (during.pipeEnds as number));
      hop.child.process.stdin?.end();
      await hop.child.ended;
    }
  },
);

onLinux("the peers of a process that was killed while full of splices see it at once", async (t) => {
  const hop = await hopProcess(t);
  const pairs = await stall(20, hop, 8 << 20);
  const quiet = hop.client();
  quiet.write("x");
  const quietServer = await hop.server.next();
  const sockets = [...pairs.flatMap(({ client, server }) => [client, server]), quiet, quietServer];
  const left = Promise.all(sockets.map(howLeft));
  hop.child.process.kill("SIGKILL");
  t.is(await hop.child.ended, "SIGKILL");
  const killedAt = performance.now();
  const ends = await left;
  t.true(performance.now() - killedAt < 3000);
  t.true(
    ends.every((end) => end === "reset" || end === "ended" || end === "EPIPE"),
    [...new Set(ends)].join(),
  );
});

onEpoll("a process whose worker waits in epoll exits as soon as that wait is over", async (t) => {
  for (const maxBlockMs of [100, 500]) {
    const child = startChild<{ waits: boolean }>(t, "./exit-process.js", [maxBlockMs]);
    await child.line(({ waits }) => waits);
    const asked = performance.now();
    child.process.stdin?.write("\n");
    t.is(await child.ended, 7);
    const tookMs = performance.now() - asked;
    t.log(`${maxBlockMs} ms at most: ${tookMs.toFixed(0)} ms`);
    t.true(tookMs < maxBlockMs + 1000, `${tookMs} ms`);
  }
});
