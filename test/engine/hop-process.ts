import { readdirSync, readlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import { deadlineIn } from "../../src/base/deadline.js";
import { ProxyError } from "../../src/base/errors.js";
import type { Endpoint } from "../../src/transport/endpoint.js";
import { fSetPipeSize, sockCloexec } from "../../src/transport/epoll/abi.js";
import { loadLibc } from "../../src/transport/epoll/libc.js";
import { engineUnderTest } from "./engines.js";

/**
 * A process of its own that splices every client, once it has said something, to a port on this machine. Tells on standard output, a
 * JSON line each: the port that it listens on, each connect that failed, and, for each line of its standard input, what it
 * holds. Ends with its standard input. `hop-process.js TARGET_PORT [PIPES_LEFT]`: with a number it first takes all of its
 * user's share of pipe memory, but for so many pipes.
 */
const [target, pipesLeft] = process.argv.slice(2).map(Number);
const tell = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
const limits = { idleTimeoutMs: 60_000, halfClosedTimeoutMs: 60_000, moved() {} };
const transport = engineUnderTest({ maxPipes: 64 });
const pipeBytes = 1 << 20;
const fGetPipeSize = 1032;

function hoardPipes(left: number): number {
  const libc = loadLibc();
  const hoard: Int32Array[] = [];
  for (;;) {
    const ends = new Int32Array(2);
    if (libc.pipe(ends as unknown as Uint8Array, sockCloexec) < 0) break;
    hoard.push(ends);
    // Most in large pieces, the rest in small ones.
    if (libc.control(ends[1]!, fSetPipeSize, pipeBytes) >= pipeBytes) continue;
    if (libc.control(ends[1]!, fSetPipeSize, pipeBytes / 4) < pipeBytes / 4) break;
  }
  for (const ends of hoard.splice(-1 - left)) for (const end of ends) libc.close(end);
  return 2 * hoard.length;
}

/** Looking takes a descriptor: where there is none, all are taken. */
function listDescriptors(): number[] | undefined {
  try {
    return readdirSync("/proc/self/fd").map(Number);
  } catch {
    return undefined;
  }
}

function held() {
  const pipeEnds: number[] = [];
  const descriptors = listDescriptors();
  if (descriptors === undefined) return { descriptors: Number.MAX_SAFE_INTEGER, pipeEnds: 0, largest: 0 };
  for (const descriptor of descriptors) {
    try {
      if (readlinkSync(`/proc/self/fd/${descriptor}`).startsWith("pipe:")) pipeEnds.push(descriptor);
    } catch {
      // The one that the listing was made with.
    }
  }
  const largest =
    transport.engine === "epoll" ? Math.max(0, ...pipeEnds.map((end) => loadLibc().control(end, fGetPipeSize, 0))) : 0;
  return { descriptors: descriptors.length, pipeEnds: pipeEnds.length, largest };
}

async function join(a: Endpoint): Promise<void> {
  try {
    const deadline = deadlineIn(10_000, "connect_timeout");
    const first = await a.read(deadline);
    if (first === undefined) return a.destroy();
    a.unread(first);
    const b = await transport.connect({ kind: "tcp", ip: "127.0.0.1", port: target as number }, deadline).connected;
    transport.splice(a, b, limits);
  } catch (error) {
    a.destroy();
    tell({ failed: error instanceof ProxyError ? error.code : String(error) });
  }
}

const hoarded = pipesLeft === undefined ? 0 : hoardPipes(pipesLeft);
const listener = await transport.listen({ address: { kind: "tcp", host: "127.0.0.1", port: 0 }, accept: join });
tell({ port: listener.address.family === "unix" ? 0 : listener.address.port, hoarded });
createInterface({ input: process.stdin })
  .on("line", () => tell(held()))
  .once("close", () => process.exit(0));
