/**
 * The internal server of the demo: HTTPS, with its own key, which no proxy ever sees. Any GET or POST to /jsonrpc is
 * answered with {"message":"success"}.
 *
 *     node dist/examples/internal-server.js [--port 8888] [--host 127.0.0.1] [--cert FILE] [--key FILE]
 */
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const certificate = (file: string) => fileURLToPath(new URL(`../../certs/${file}`, import.meta.url));

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8888" },
    host: { type: "string", default: "127.0.0.1" },
    cert: { type: "string", default: certificate("internal-server.crt") },
    key: { type: "string", default: certificate("internal-server.key") },
  },
});

function answer(request: IncomingMessage, response: ServerResponse): void {
  // The body is of no interest, but it must be read for the connection to serve another request.
  request.resume();
  const path = request.url?.split("?")[0];
  const found = path === "/jsonrpc" && (request.method === "GET" || request.method === "POST");
  response.writeHead(found ? 200 : 404, { "content-type": "application/json" });
  response.end(JSON.stringify({ message: found ? "success" : "not found" }));
}

function fail(problem: string): never {
  console.error(`error: ${problem}`);
  process.exit(1);
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    return fail(`${(error as Error).message} (make certs makes the default certificate)`);
  }
}

const port = Number(values.port);
if (!/^\d{1,5}$/.test(values.port) || port > 65535) fail(`--port ${values.port} is not in 0-65535`);
const server = createServer({ cert: read(values.cert), key: read(values.key) }, answer);
server.on("error", (error: NodeJS.ErrnoException) =>
  fail(error.code === "EADDRINUSE" ? `${values.host}:${port} is in use already` : error.message),
);
server.listen(port, values.host, () => {
  const { address, port: listening } = server.address() as AddressInfo;
  console.log(`internal server: https://${address.includes(":") ? `[${address}]` : address}:${listening}/jsonrpc`);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
  });
}
