import { unlinkSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { type Address, formatAddress } from "../../base/address.js";
import { messageOf, ProxyError } from "../../base/errors.js";
import { descriptorGuard } from "../descriptors.js";
import type { EndpointAddress } from "../endpoint.js";
import { isStaleSocket } from "../stale-socket.js";
import type { Listener, ListenOptions } from "../transport.js";
import { addressesOf, tcpAddress } from "./addresses.js";
import { NodeEndpoint, resetSocket, socketOptions } from "./endpoint.js";
import { descriptorOf } from "./handle.js";

/** Clients that wait in the kernel while the loop is busy. The system bounds it by net.core.somaxconn. */
const backlog = 4096;

/**
 * Listens; see `Transport.listen` for the codes. A `descriptor` listens already, and is this server's from here on. A host name is looked up by Node; an empty host means all addresses.
 *
 * What happens without descriptors: Node cannot pause a listening socket, short of closing it. libuv, when `accept`
 * fails with EMFILE, gives up a descriptor that it keeps for this purpose, accepts and closes everyone who waits, and
 * says nothing. So there is no spin, and serving resumes by itself, but the clients in between are turned away instead
 * of waiting in the queue. This engine does the same a little earlier, with a RST and a warning: it keeps the last
 * descriptors for the connections that accepted clients still need, and calls `starved`.
 */
export async function listen(options: ListenOptions, descriptor?: number): Promise<Listener> {
  const { address, accept, owes, starved = () => {} } = options;
  const server = createServer(socketOptions);
  await bindReplacingStale(server, address, descriptor);
  const guard = descriptorGuard({ starved, owes });
  server.on("connection", (socket) => {
    const addresses = guard.takesLast(descriptorOf(socket) ?? 0) ? undefined : addressesOf(socket, address.kind);
    if (addresses !== undefined) {
      accept(new NodeEndpoint(socket, addresses));
      return;
    }
    socket.on("error", () => {});
    resetSocket(socket);
  });
  // Only when libuv has lost its spare descriptor, too.
  server.on("error", (error: NodeJS.ErrnoException) => guard.failed(messageOf(error), error.code));
  return {
    address: addressOf(server, address),
    async close() {
      guard.close();
      // Closes the listening descriptor at once. Its callback would come only after the last accepted connection.
      server.close();
    },
  };
}

async function bindReplacingStale(server: Server, address: Address, descriptor: number | undefined): Promise<void> {
  try {
    await bind(server, address, descriptor);
  } catch (error) {
    const inUse = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    if (!inUse || address.kind !== "unix" || !(await isStaleSocket(address.path))) throw asProxyError(error, address);
    try {
      unlinkSync(address.path);
      await bind(server, address);
    } catch (again) {
      throw asProxyError(again, address);
    }
  }
}

function bind(server: Server, address: Address, descriptor?: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const listening = () => {
      server.off("error", reject);
      resolve();
    };
    if (descriptor !== undefined) server.listen({ fd: descriptor }, backlog, listening);
    else if (address.kind === "unix") server.listen({ path: address.path, backlog, exclusive: true }, listening);
    else {
      const host = address.host === "" ? {} : { host: address.host };
      server.listen({ ...host, port: address.port, backlog, exclusive: true }, listening);
    }
  });
}

function asProxyError(error: unknown, address: Address): ProxyError {
  const inUse = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
  const code = inUse ? "address_in_use" : "address_unavailable";
  return new ProxyError(code, `${formatAddress(address)}: ${messageOf(error)}`, { cause: error });
}

function addressOf(server: Server, asked: Address): EndpointAddress {
  const bound = server.address();
  if (asked.kind === "unix" || bound === null || typeof bound === "string") return { family: "unix" };
  return tcpAddress(bound.address, bound.port);
}
