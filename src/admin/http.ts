import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { halfOpenSet } from "../base/half-open.js";

/** A scraper, a health check and a few operators at once. Beyond it the oldest connection gives way to the newest. */
const maxConnections = 64;
/** Requests are a line and a few headers; who needs longer to send one is not sending one. */
const requestTimeoutMs = 10_000;
const lookEveryMs = 1000;
const maxHeaderBytes = 8192;
/** Commands carry little or nothing. */
const maxBodyBytes = 65_536;

/** An HTTP server that bounds what a peer may hold: connections, the time for a request and its answer, and their size. */
export function boundedHttpServer(
  respond: (request: IncomingMessage, response: ServerResponse) => void,
  { idleMs = requestTimeoutMs } = {},
): Server {
  const connections = halfOpenSet(maxConnections);
  const server = createServer(
    {
      requestTimeout: idleMs,
      headersTimeout: idleMs,
      // Node looks every 30 s otherwise, and the limits above would be that much longer.
      connectionsCheckingInterval: lookEveryMs,
      maxHeaderSize: maxHeaderBytes,
    },
    (request, response) => {
      let bodyBytes = 0;
      request.on("data", (chunk: Buffer) => {
        bodyBytes += chunk.length;
        if (bodyBytes > maxBodyBytes) request.destroy();
      });
      request.on("error", () => {});
      response.on("error", () => {});
      respond(request, response);
    },
  );
  // Also for a peer that does not read its answer.
  server.setTimeout(idleMs);
  server.on("connection", (socket: Socket) => {
    socket.once(
      "close",
      connections.enter(() => socket.destroy()),
    );
  });
  return server;
}
