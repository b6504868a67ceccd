import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { ExecutionContext } from "ava";
import type { ResolvedAddress } from "../../src/transport/transport.js";

/** Serves in a thread, so that it goes on while the thread of the test stands still. */
const serving = `
  const { createServer } = require("node:net");
  const { parentPort, workerData } = require("node:worker_threads");
  const answered = new Int32Array(workerData.answered);
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end(workerData.answer, () => {
      Atomics.add(answered, 0, 1);
      Atomics.notify(answered, 0);
    });
  }).listen({ port: 0, host: "127.0.0.1" }, () => parentPort.postMessage(server.address().port));
`;

export interface ThreadServer {
  readonly address: ResolvedAddress;
  /** Stands still until so many clients have been answered. */
  waitUntilAnswered(clients: number): void;
}

/** A server that answers every client with these bytes and a FIN at once. */
export async function threadServer(t: ExecutionContext, answer: string): Promise<ThreadServer> {
  const answered = new Int32Array(new SharedArrayBuffer(4));
  const thread = new Worker(serving, { eval: true, workerData: { answer, answered: answered.buffer } });
  t.teardown(async () => {
    await thread.terminate();
  });
  const [port] = (await once(thread, "message")) as [number];
  return {
    address: { kind: "tcp", ip: "127.0.0.1", port },
    waitUntilAnswered(clients) {
      for (let seen = 0; seen < clients; seen = Atomics.load(answered, 0)) Atomics.wait(answered, 0, seen, 1000);
    },
  };
}
