import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { createEpollTransport } from "../../src/transport/epoll/transport.js";

/**
 * A process whose worker waits in epoll for as long as it is told on the command line, with nothing to wait for. Exits
 * when it gets a line.
 */
if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
  worker.once("message", () => console.log(JSON.stringify({ waits: true })));
  process.stdin.once("data", () => process.exit(7));
} else {
  const transport = createEpollTransport({ maxBlockMs: Number(process.argv[2]) });
  await transport.listen({ address: { kind: "tcp", host: "127.0.0.1", port: 0 }, accept() {} });
  parentPort?.postMessage("listening");
}
