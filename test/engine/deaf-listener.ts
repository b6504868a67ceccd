import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { ExecutionContext } from "ava";
import type { ResolvedAddress } from "../../src/transport/transport.js";
import { rawConnect } from "./peers.js";

/** Listens in a thread, and then blocks that thread: nobody will ever accept. */
const deafThread = `
  const { createServer } = require("node:net");
  const { parentPort, workerData } = require("node:worker_threads");
  const server = createServer().listen({ ...workerData, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port ?? 0);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

/**
 * An address that does not answer: a listener whose queue is full and never emptied. Linux drops further SYNs, and has
 * unix sockets ask again. A backlog of one holds two connections.
 */
export async function deafListener(t: ExecutionContext, path?: string): Promise<ResolvedAddress> {
  const where = path === undefined ? { port: 0, host: "127.0.0.1" } : { path };
  const thread = new Worker(deafThread, { eval: true, workerData: where });
  t.teardown(async () => {
    await thread.terminate();
  });
  const [port] = (await once(thread, "message")) as [number];
  const to = path === undefined ? { port } : { path };
  await Promise.all([0, 1].map(() => once(rawConnect(t, to), "connect")));
  return path === undefined ? { kind: "tcp", ip: "127.0.0.1", port } : { kind: "unix", path };
}
