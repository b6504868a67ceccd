import { lstatSync } from "node:fs";
import { chmod, mkdir, unlink } from "node:fs/promises";
import type { Server } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import { type Address, formatAddress } from "../base/address.js";
import { messageOf, ProxyError } from "../base/errors.js";

/** How long a socket file that is in the way may take to answer before it counts as alive. */
const staleProbeMs = 1000;

/** Resolves with the address in text form. Throws `address_in_use` or `address_unavailable`. A `descriptor` listens already. */
export async function listenOnTcp(
  server: Server,
  address: Extract<Address, { kind: "tcp" }>,
  descriptor?: number,
): Promise<string> {
  const { host, port } = address;
  await listening(server, () =>
    server.listen(descriptor === undefined ? { host, port, exclusive: true } : { fd: descriptor }),
  ).catch((cause: unknown) => {
    throw asProxyError(cause, `admin.listen ${formatAddress(address)}`);
  });
  const bound = server.address();
  if (bound === null || typeof bound === "string") return formatAddress(address);
  return formatAddress({ kind: "tcp", host: bound.address, port: bound.port });
}

/**
 * Listens on a unix socket with mode 0600, in a directory that is made where it is missing. A socket file that nobody
 * answers on is left over from a process that was killed, and is replaced; any other file stays. The same errors.
 */
export async function listenOnSocket(server: Server, path: string, descriptor?: number): Promise<string> {
  const where = `admin.socket ${path}`;
  try {
    if (descriptor !== undefined) {
      // Whoever has opened it has set its mode.
      await listening(server, () => server.listen({ fd: descriptor }));
      return formatAddress({ kind: "unix", path });
    }
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await listening(server, () => bindPrivately(server, path)).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") throw error;
      await removeStale(path, where);
      await listening(server, () => bindPrivately(server, path));
    });
    await chmod(path, 0o600);
  } catch (cause) {
    throw asProxyError(cause, where);
  }
  return formatAddress({ kind: "unix", path });
}

/** The socket is bound inside `listen`: it must not be open to others for even a moment. */
function bindPrivately(server: Server, path: string): void {
  const before = process.umask(0o177);
  try {
    server.listen({ path, exclusive: true });
  } finally {
    process.umask(before);
  }
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      server.off("listening", succeeded);
      reject(error);
    };
    const succeeded = () => {
      server.off("error", failed);
      resolve();
    };
    server.once("error", failed);
    server.once("listening", succeeded);
    listen();
  });
}

/** Connecting to a left-over socket is refused; anything else may be somebody's, who is only busy. */
async function removeStale(path: string, where: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false) {
    throw new ProxyError("address_unavailable", `${where}: a file that is no socket is in the way`);
  }
  const refused = await new Promise<boolean>((resolve) => {
    const probe = connect({ path, timeout: staleProbeMs });
    const answer = (stale: boolean) => {
      probe.destroy();
      resolve(stale);
    };
    probe.once("connect", () => answer(false));
    probe.once("timeout", () => answer(false));
    probe.on("error", (error: NodeJS.ErrnoException) => answer(error.code === "ECONNREFUSED"));
  });
  if (!refused) throw new ProxyError("address_in_use", `${where}: another process answers there`);
  await unlink(path);
}

function asProxyError(cause: unknown, where: string): ProxyError {
  if (cause instanceof ProxyError) return cause;
  const inUse = (cause as NodeJS.ErrnoException).code === "EADDRINUSE";
  return new ProxyError(inUse ? "address_in_use" : "address_unavailable", `${where}: ${messageOf(cause)}`, { cause });
}
