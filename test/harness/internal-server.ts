import { once } from "node:events";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer as createNetServer, type Server } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from "node:tls";
import type { Address } from "../../src/base/address.js";
import type { TestCertificates } from "./certificates.js";

export interface InternalServer {
  readonly address: Address;
  readonly port: number;
  /** Connections open now. */
  readonly open: number;
  close(): Promise<void>;
}

/** A TLS server that hands each connection to `serve`. */
export function tlsServer(
  certificates: TestCertificates,
  serve: (socket: TLSSocket) => void,
  options: TlsOptions = {},
): Promise<InternalServer> {
  const server = createTlsServer(
    { ...certificates.pem("internal-server"), allowHalfOpen: true, ...options },
    (socket) => {
      socket.on("error", () => {});
      serve(socket);
    },
  );
  return started(server);
}

/** A TLS server that sends back what it gets, and ends when the client ends. */
export function echoServer(certificates: TestCertificates, options: TlsOptions = {}): Promise<InternalServer> {
  return tlsServer(certificates, (socket) => socket.pipe(socket), options);
}

/** An HTTPS server that answers as the example does. */
export function jsonRpcServer(certificates: TestCertificates): Promise<InternalServer> {
  return started(
    createHttpsServer(certificates.pem("internal-server"), (request, response) => {
      request.resume();
      request.on("end", () => response.setHeader("content-type", "application/json").end('{"message":"success"}'));
    }),
  );
}

/** A plain TCP server, for what is not TLS. */
export function plainServer(serve: (socket: import("node:net").Socket) => void): Promise<InternalServer> {
  return started(
    createNetServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      serve(socket);
    }),
  );
}

async function started(server: Server): Promise<InternalServer> {
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    address: { kind: "tcp", host: "127.0.0.1", port },
    port,
    get open() {
      return sockets.size;
    },
    async close() {
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
