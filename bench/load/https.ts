/** Real TLS clients: a handshake, some requests over HTTP/1.1, and the next connection. */
import { readFileSync } from "node:fs";
import { connect, createSecureContext, type TLSSocket } from "node:tls";
import { answerBytes, serverName } from "./hello.js";
import { runLoad } from "./program.js";

export interface HttpsOptions {
  readonly port: number;
  readonly ca: string;
  readonly concurrency: number;
  readonly requestsPerConnection: number;
  readonly warmUpMs: number;
}

export interface HttpsResult {
  readonly answered: number;
  readonly failed: number;
  /** Of requests; the first on a connection counts from the call of connect. */
  readonly requestMs: readonly number[];
}

const request = `GET / HTTP/1.1\r\nhost: ${serverName}\r\n\r\n`;
const restMs = 20;

runLoad<HttpsOptions, HttpsResult>(async ({ port, ca, concurrency, requestsPerConnection, warmUpMs }) => {
  const secureContext = createSecureContext({ ca: readFileSync(ca) });
  const open = new Set<TLSSocket>();
  let stopping = false;
  let answered = 0;
  let failed = 0;
  let requestMs: number[] = [];
  let allClosed: (() => void) | undefined;

  function one(): void {
    let sentAt = performance.now();
    let missing = -1;
    let left = requestsPerConnection;
    const socket = connect({ port, host: "127.0.0.1", servername: serverName, secureContext });
    open.add(socket);
    socket.setNoDelay(true);
    socket.once("secureConnect", () => socket.write(request));
    socket.on("data", (chunk: Buffer) => {
      // Status line and headers come in one piece with what follows: the backend writes them at once.
      if (missing < 0) missing = answerBytes + chunk.indexOf("\r\n\r\n") + 4;
      missing -= chunk.length;
      if (missing > 0) return;
      missing = -1;
      answered++;
      requestMs.push(performance.now() - sentAt);
      if (--left === 0) return void socket.end();
      sentAt = performance.now();
      socket.write(request);
    });
    socket.on("error", () => {});
    socket.once("close", () => {
      open.delete(socket);
      if (stopping) {
        if (open.size === 0) allClosed?.();
      } else if (left > 0) {
        failed++;
        setTimeout(() => stopping || one(), restMs);
      } else one();
    });
  }

  for (let i = 0; i < concurrency; i++) one();
  await new Promise((resolve) => setTimeout(resolve, warmUpMs));

  return {
    begin() {
      answered = 0;
      failed = 0;
      requestMs = [];
    },
    result: () => ({ answered, failed, requestMs }),
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
});
