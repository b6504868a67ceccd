import { deadlineIn } from "../../base/deadline.js";
import { ProxyError } from "../../base/errors.js";
import type { Endpoint } from "../endpoint.js";
import { afUnix, sockCloexec, sockNonblock, sockStream } from "./abi.js";
import { EpollEndpoint } from "./endpoint.js";
import { errorText } from "./error-text.js";
import { loadLibc } from "./libc.js";
import { EventLoop } from "./loop.js";
import { createDescriptorTable, createOwnership, mainThread } from "./ownership.js";
import { createPipes } from "./pipes.js";
import { splice } from "./splice.js";
import { Stream } from "./stream.js";

/** Ten times what a socket buffers, so that bytes go through the shared buffer first and then through a pipe. */
const testBytes = 2 << 20;
const testMs = 10_000;

/**
 * Tries the engine on this very system: one connection, spliced both ways, half-closed, every byte compared. Between
 * socket pairs, so nothing listens anywhere meanwhile. Throws an error that says what does not work; leaves nothing open.
 */
export async function testEngine(): Promise<void> {
  const libc = loadLibc();
  const loop = new EventLoop({
    libc,
    ownership: createOwnership(createDescriptorTable(), mainThread),
    maxBlockMs: 1,
    fault: (error) => {
      throw error;
    },
  });
  const pipes = createPipes(loop, 2);
  try {
    const [client, a] = socketPair(loop);
    const [b, server] = socketPair(loop);
    const limits = { idleTimeoutMs: testMs, halfClosedTimeoutMs: testMs, moved() {} };
    const joined = splice(a, b, limits, pipes);
    await carries(client, server);
    await carries(server, client);
    client.end();
    if ((await server.read(deadlineIn(testMs, "connect_timeout"))) !== undefined) throw damaged();
    server.end();
    const { bytesAb, bytesBa, endedBy } = await joined.done;
    if (bytesAb !== testBytes || bytesBa !== testBytes || endedBy !== "a_ended") throw damaged();
  } finally {
    pipes.closeIdle();
    loop.stop();
  }
}

async function carries(from: Endpoint, to: Endpoint): Promise<void> {
  const sent = Buffer.allocUnsafe(testBytes);
  for (let at = 0; at < sent.length; at += 4) sent.writeUInt32LE((at * 2654435761) >>> 0, at);
  from.write(sent);
  const deadline = deadlineIn(testMs, "connect_timeout");
  for (let got = 0; got < sent.length; ) {
    const bytes = await to.read(deadline);
    if (bytes === undefined || sent.compare(bytes, 0, bytes.length, got, got + bytes.length) !== 0) throw damaged();
    got += bytes.length;
  }
}

function damaged(): ProxyError {
  return new ProxyError("internal", "a test connection did not come out as it went in");
}

function socketPair(loop: EventLoop): [EpollEndpoint, EpollEndpoint] {
  const pair = new Int32Array(2);
  const type = sockStream | sockNonblock | sockCloexec;
  const made = loop.libc.socketPair(afUnix, type, 0, pair as unknown as Uint8Array);
  if (made < 0) throw new ProxyError("internal", errorText("socketpair", made));
  const [left, right] = [pair[0]!, pair[1]!];
  if (!loop.own(left) || !loop.own(right)) throw new ProxyError("descriptors_exhausted");
  return [endpointOf(loop, left), endpointOf(loop, right)];
}

function endpointOf(loop: EventLoop, descriptor: number): EpollEndpoint {
  const stream = new Stream(loop, descriptor, "unix");
  return new EpollEndpoint(stream, { family: "unix" }, { family: "unix" });
}
