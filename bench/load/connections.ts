/** Connection after connection: hello out, the answer in, and closed. */
import { connect, type Socket } from "node:net";
import { answerBytes, helloOf } from "./hello.js";
import { type Activity, runLoad } from "./program.js";

export interface ConnectionsOptions {
  readonly port: number;
  readonly concurrency: number;
  /** Before the load counts as flowing. */
  readonly warmUpMs: number;
}

export interface ConnectionsResult {
  readonly completed: number;
  readonly failed: number;
  /** From the call of connect to the first byte of the answer, one for each that completed. */
  readonly firstByteMs: readonly number[];
  /** The same to the end of the connection. */
  readonly wholeMs: readonly number[];
}

const hello = helloOf("answer");
const into = Buffer.alloc(64 * 1024);
/** After a failure, so that what refuses everything is not hammered. */
const restMs = 20;

runLoad<ConnectionsOptions, ConnectionsResult>(async ({ port, concurrency, warmUpMs }) => {
  const open = new Set<Socket>();
  let stopping = false;
  let allClosed: (() => void) | undefined;
  let completed = 0;
  let failed = 0;
  let firstByteMs: number[] = [];
  let wholeMs: number[] = [];

  function one(): void {
    const startedAt = performance.now();
    let firstByteAt = 0;
    let got = 0;
    const callback = (bytes: number) => {
      if (got === 0) firstByteAt = performance.now();
      got += bytes;
      return true;
    };
    const socket = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer: into, callback } });
    open.add(socket);
    // Written before it is connected: it goes out in the instant it is.
    socket.write(hello);
    socket.on("error", () => {});
    socket.once("close", () => {
      open.delete(socket);
      if (stopping) {
        if (open.size === 0) allClosed?.();
        return;
      }
      if (got !== answerBytes) {
        failed++;
        setTimeout(next, restMs);
        return;
      }
      completed++;
      firstByteMs.push(firstByteAt - startedAt);
      wholeMs.push(performance.now() - startedAt);
      one();
    });
  }

  function next(): void {
    if (!stopping) one();
  }

  for (let i = 0; i < concurrency; i++) one();
  await new Promise((resolve) => setTimeout(resolve, warmUpMs));

  const activity: Activity<ConnectionsResult> = {
    begin() {
      completed = 0;
      failed = 0;
      firstByteMs = [];
      wholeMs = [];
    },
    result: () => ({ completed, failed, firstByteMs, wholeMs }),
    async stop() {
      stopping = true;
      if (open.size === 0) return;
      const closed = new Promise<void>((resolve) => {
        allClosed = resolve;
      });
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
  return activity;
});
