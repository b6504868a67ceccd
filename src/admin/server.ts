import type { Server } from "node:http";
import { type Address, formatAddress, isLoopback } from "../base/address.js";
import { messageOf, ProxyError } from "../base/errors.js";
import { type Access, type AdminEndpoints, answer, send } from "./answer.js";
import { boundedHttpServer } from "./http.js";
import { listenOnSocket, listenOnTcp } from "./listening.js";

export type { AdminEndpoints, CommandResult } from "./answer.js";

export interface AdminOptions {
  readonly listen?: readonly Address[] | undefined;
  /** Sockets that listen already at addresses of `listen`, or at `socket`. */
  readonly descriptors?: readonly { readonly address: Address; readonly descriptor: number }[];
  /** Path of a unix socket, created with mode 0600. */
  readonly socket?: string | undefined;
  readonly token?: string | undefined;
  readonly endpoints: AdminEndpoints;
  /** How long a request may take to come, and its answer to be taken. */
  readonly idleMs?: number;
}

export interface AdminServer {
  readonly addresses: readonly string[];
  close(): Promise<void>;
}

/**
 * The admin endpoint, on any number of addresses, a unix socket, or both. Reading is open on loopback and on the socket;
 * what changes anything needs the socket or the token. Throws `address_in_use`, `address_unavailable`, and
 * `settings_invalid` where others could read without a token; nothing stays open then.
 */
export async function startAdminServer(options: AdminOptions): Promise<AdminServer> {
  const { listen = [], socket, token } = options;
  for (const address of listen) {
    if (address.kind === "unix" || isLoopback(address.host) || token !== undefined) continue;
    throw new ProxyError(
      "settings_invalid",
      `admin.listen ${formatAddress(address)} can be reached from other machines: it needs admin.token`,
    );
  }
  const given = (address: Address) => {
    const text = formatAddress(address);
    return options.descriptors?.find((one) => formatAddress(one.address) === text)?.descriptor;
  };
  const servers: Server[] = [];
  const addresses: string[] = [];
  const open = (access: Access): Server => {
    const server = adminServer(access, options);
    servers.push(server);
    return server;
  };
  const close = async () => void (await Promise.all(servers.map(closeServer)));
  try {
    for (const address of listen) {
      if (address.kind === "unix")
        addresses.push(await listenOnSocket(open({ by: "socket" }), address.path, given(address)));
      else {
        const { host } = address;
        const server = open({ by: "address", host, loopback: isLoopback(host), token });
        addresses.push(await listenOnTcp(server, address, given(address)));
      }
    }
    if (socket !== undefined) {
      const descriptor = given({ kind: "unix", path: socket });
      addresses.push(await listenOnSocket(open({ by: "socket" }), socket, descriptor));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { addresses, close };
}

function adminServer(access: Access, { endpoints, idleMs }: AdminOptions): Server {
  const server = boundedHttpServer(
    (request, response) => {
      answer(request, response, { access, endpoints }).catch((error: unknown) =>
        send(response, 500, { error: messageOf(error) }),
      );
    },
    idleMs === undefined ? {} : { idleMs },
  );
  // Running out of descriptors shows elsewhere; here it must only not end the process.
  return server.on("error", () => {});
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}
