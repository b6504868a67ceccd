import { once } from "node:events";
import type { Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { TestCertificates } from "./certificates.js";
import { type InternalServer, plainServer } from "./internal-server.js";

/** A server whose health is in the test's hand: every connection waits until the test says what becomes of it. */
export interface CheckedServer extends InternalServer {
  /** Lets this many connections, one after the other, make their handshakes, or closes them. */
  answer(...good: readonly boolean[]): Promise<void>;
}

export async function checkedServer(certificates: TestCertificates): Promise<CheckedServer> {
  const waiting: Socket[] = [];
  const tls = createTlsServer(certificates.pem("internal-server"), (socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  tls.on("tlsClientError", () => {});
  const server = await plainServer((socket) => {
    waiting.push(socket);
    tls.emit("waiting");
  });
  return Object.assign(server, {
    async answer(...good: readonly boolean[]) {
      for (const each of good) {
        while (waiting.length === 0) await once(tls, "waiting");
        const socket = waiting.shift()!;
        if (each) tls.emit("connection", socket);
        else socket.destroy();
      }
    },
  });
}
