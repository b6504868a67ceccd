import type { IncomingMessage, ServerResponse } from "node:http";
import { authorizes, foreignOrigin, knownHost } from "./access.js";
import { inPromisedOrder, type RunState, type Status } from "./status.js";

/** Answers of commands; `failed` carries what to tell the operator. */
export type CommandResult =
  | { readonly status: "done"; readonly body?: unknown }
  | { readonly status: "failed"; readonly message: string };

export interface AdminEndpoints {
  ready(): boolean;
  state(): RunState;
  status(): Status;
  metrics(): Promise<{ readonly contentType: string; readonly body: string }>;
  /** By path, `POST` only. */
  readonly commands: Readonly<Record<string, () => Promise<CommandResult>>>;
}

/** By what a request may come: a unix socket that only its owner can open, or an address that others reach too. */
export type Access =
  | { readonly by: "socket" }
  | {
      readonly by: "address";
      readonly host: string;
      /** Reading needs no token here. */
      readonly loopback: boolean;
      readonly token: string | undefined;
    };

/** Answers one request. Rejects only where an endpoint or a command does. */
export async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { access, endpoints }: { readonly access: Access; readonly endpoints: AdminEndpoints },
): Promise<void> {
  const { headers } = request;
  const owner = access.by === "socket" || authorizes(headers.authorization, access.token);
  if (access.by === "address") {
    // Off loopback nothing is answered without the token, which no rebound page has: there any name is good.
    if (access.loopback && !knownHost(headers.host, access.host)) {
      return send(response, 421, { error: "the Host header names another site" });
    }
    if (foreignOrigin(headers)) return send(response, 403, { error: "requests from other origins are refused" });
    if (!access.loopback && !owner) return sendUnauthorized(response);
  }
  const path = request.url?.split("?")[0] ?? "";
  const command = Object.hasOwn(endpoints.commands, path) ? endpoints.commands[path] : undefined;
  if (command !== undefined) return obey(request, response, owner ? command : undefined);
  const reading = Object.hasOwn(readings, path) ? readings[path] : undefined;
  if (reading === undefined) {
    const paths = [...Object.keys(readings), ...Object.keys(endpoints.commands).map((each) => `POST ${each}`)];
    return send(response, 404, { error: `there are ${paths.join(", ")}` });
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    return send(response, 405, { error: "this is read: GET it" }, { allow: "GET, HEAD" });
  }
  return reading(response, endpoints);
}

type Reading = (response: ServerResponse, endpoints: AdminEndpoints) => void | Promise<void>;

const readings: Readonly<Record<string, Reading>> = {
  "/healthz": (response) => send(response, 200, { healthy: true }),
  "/readyz": (response, endpoints) => {
    const ready = endpoints.ready();
    send(response, ready ? 200 : 503, { ready, state: endpoints.state() });
  },
  "/status": (response, endpoints) => send(response, 200, inPromisedOrder(endpoints.status())),
  "/metrics": async (response, endpoints) => {
    const { contentType, body } = await endpoints.metrics();
    response.writeHead(200, { "content-type": contentType, "cache-control": "no-store" }).end(body);
  },
};

/** `command` is undefined for who may not give it. */
async function obey(
  request: IncomingMessage,
  response: ServerResponse,
  command: (() => Promise<CommandResult>) | undefined,
): Promise<void> {
  if (request.method !== "POST") return send(response, 405, { error: "this is a command: POST it" }, { allow: "POST" });
  if (command === undefined) return sendUnauthorized(response);
  // A command may take its time; silence meanwhile is no sign of a dead peer.
  request.socket.setTimeout(0);
  const result = await command();
  if (result.status === "failed") send(response, 409, { error: result.message });
  else send(response, 200, result.body ?? { done: true });
}

function sendUnauthorized(response: ServerResponse): void {
  send(
    response,
    401,
    { error: "this needs the admin token (Authorization: Bearer ...) or the unix socket (admin.socket)" },
    { "www-authenticate": "Bearer" },
  );
}

/** One line of JSON. */
export function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "no-store",
    ...headers,
  });
  response.end(`${JSON.stringify(body)}\n`);
}
