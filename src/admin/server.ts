import { chmod, mkdir, unlink } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import { type Address, formatAddress } from "../base/address.js";
import { messageOf, ProxyError } from "../base/errors.js";
import { authorizes, foreignOrigin, isLoopback, knownHost } from "./access.js";

/** Answers of commands; `failed` carries what to tell the operator. */
export type CommandResult =
  | { readonly status: "done"; readonly body?: unknown }
  | { readonly status: "failed"; readonly message: string };

export interface AdminEndpoints {
  ready(): boolean;
  status(): unknown;
  metrics(): Promise<{ readonly contentType: string; readonly body: string }>;
  /** By path, `POST` only. */
  readonly commands: Readonly<Record<string, () => Promise<CommandResult>>>;
}

export interface AdminOptions {
  readonly listen?: Address | undefined;
  /** Path of a unix socket, created with mode 0600. */
  readonly socket?: string | undefined;
  readonly token?: string | undefined;
  readonly endpoints: AdminEndpoints;
}

export interface AdminServer {
  readonly addresses: readonly string[];
  close(): Promise<void>;
}

const maxConnections = 64;
const requestTimeoutMs = 10_000;

/**
 * The admin endpoint, over TCP, a unix socket, or both. Reading is open on loopback and on the socket; what changes
 * anything needs the socket or the token. Throws `address_in_use`, `address_unavailable`, `settings_invalid`.
 */
export async function startAdminServer(options: AdminOptions): Promise<AdminServer> {
  const { listen, socket, token, endpoints } = options;
  if (listen?.kind === "tcp" && !isLoopback(listen.host) && token === undefined) {
    throw new ProxyError(
      "settings_invalid",
      `admin.listen ${formatAddress(listen)} is not a loopback address: set admin.token`,
    );
  }
  const servers: Server[] = [];
  const addresses: string[] = [];
  const close = () => Promise.all(servers.map(closeServer)).then(() => {});
  try {
    if (listen !== undefined) {
      const open = listen.kind === "unix" || isLoopback(listen.host);
      const server = adminServer((request, response) =>
        answerTcp(request, response, { endpoints, token, open, listen }),
      );
      servers.push(server);
      addresses.push(await listenOn(server, listen));
    }
    if (socket !== undefined) {
      const server = adminServer((request, response) => answer(request, response, { endpoints, mayChange: true }));
      servers.push(server);
      await clearStaleSocket(socket);
      addresses.push(await listenOn(server, { kind: "unix", path: socket }));
      await chmod(socket, 0o600);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { addresses, close };
}

type Answerer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

function adminServer(answerer: Answerer): Server {
  const server = createServer(
    { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs },
    (request, response) => {
      request.resume();
      answerer(request, response).catch((error: unknown) => send(response, 500, { error: messageOf(error) }));
    },
  );
  server.maxConnections = maxConnections;
  return server;
}

interface TcpAccess {
  readonly endpoints: AdminEndpoints;
  readonly token: string | undefined;
  /** Reading needs no token. */
  readonly open: boolean;
  readonly listen: Address;
}

async function answerTcp(request: IncomingMessage, response: ServerResponse, access: TcpAccess): Promise<void> {
  const { endpoints, token, open, listen } = access;
  if (!knownHost(request.headers.host, listen))
    return send(response, 421, { error: "the Host header names another site" });
  if (foreignOrigin(request.headers)) return send(response, 403, { error: "requests from other origins are refused" });
  const authorized = authorizes(request.headers.authorization, token);
  if (!open && !authorized) return sendUnauthorized(response);
  return answer(request, response, { endpoints, mayChange: authorized });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { endpoints, mayChange }: { endpoints: AdminEndpoints; mayChange: boolean },
): Promise<void> {
  const path = new URL(request.url ?? "/", "http://admin").pathname;
  const command = Object.hasOwn(endpoints.commands, path) ? endpoints.commands[path] : undefined;
  if (command !== undefined) {
    if (request.method !== "POST")
      return send(response, 405, { error: "this is a command: POST it" }, { allow: "POST" });
    if (!mayChange) return sendUnauthorized(response);
    const result = await command();
    if (result.status === "failed") return send(response, 409, { error: result.message });
    return send(response, 200, result.body ?? { done: true });
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    return send(response, 405, { error: "only GET here" }, { allow: "GET, HEAD" });
  }
  switch (path) {
    case "/healthz":
      return send(response, 200, { healthy: true });
    case "/readyz": {
      const ready = endpoints.ready();
      return send(response, ready ? 200 : 503, { ready });
    }
    case "/status":
      return send(response, 200, endpoints.status());
    case "/metrics": {
      const { contentType, body } = await endpoints.metrics();
      response.writeHead(200, { "content-type": contentType }).end(body);
      return;
    }
    default:
      return send(response, 404, { error: "there are /healthz, /readyz, /status and /metrics" });
  }
}

function sendUnauthorized(response: ServerResponse): void {
  send(
    response,
    401,
    { error: "this needs the admin token (Authorization: Bearer ...) or the unix socket (admin.socket)" },
    { "www-authenticate": "Bearer" },
  );
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  if (response.headersSent) return void response.destroy();
  const text = `${JSON.stringify(body, null, 2)}\n`;
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "no-store",
    ...headers,
  });
  response.end(text);
}

function listenOn(server: Server, address: Address): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const code = cause.code === "EADDRINUSE" ? "address_in_use" : "address_unavailable";
      reject(new ProxyError(code, `admin ${formatAddress(address)}: ${cause.message}`, { cause }));
    });
    const listening = () => {
      server.removeAllListeners("error");
      server.on("error", () => {});
      const bound = server.address();
      const text =
        bound === null || typeof bound === "string"
          ? formatAddress(address)
          : formatAddress({ kind: "tcp", host: bound.address, port: bound.port });
      resolve(text);
    };
    if (address.kind === "tcp") server.listen({ host: address.host, port: address.port, exclusive: true }, listening);
    else {
      // The socket is bound inside this call: it must not be open to others for even a moment.
      const before = process.umask(0o177);
      try {
        server.listen({ path: address.path }, listening);
      } finally {
        process.umask(before);
      }
    }
  });
}

/** A socket file that nobody answers on is left over from a process that was killed; one that answers is in use. */
async function clearStaleSocket(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const state = await new Promise<"absent" | "stale" | "alive">((resolve) => {
    const probe = connect({ path });
    probe.once("connect", () => {
      probe.destroy();
      resolve("alive");
    });
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ENOENT" ? "absent" : "stale"));
  });
  if (state === "alive") throw new ProxyError("address_in_use", `admin.socket ${path}: another process answers there`);
  if (state === "stale") await unlink(path);
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}
