import { chmodSync, unlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { messageOf, ProxyError } from "../base/errors.js";
import type { Log } from "../base/log.js";
import { loadLibc } from "../transport/epoll/libc.js";
import { mostRights, sendRights } from "../transport/epoll/rights.js";
import type { InheritedListener } from "../transport/inherited.js";
import { descriptorOf } from "../transport/node/handle.js";
import type { ExpectedSession } from "./control-plane.js";
import { type FromPredecessor, type FromSuccessor, type Lines, linesOf, takeOverVersion } from "./take-over-lines.js";

/** Who connects asks at once. */
const askMs = 5000;
/** From the sockets to all being ready for clients: threads are started meanwhile, on a machine that may be busy. */
const startMs = 60_000;
/** How long the successor may wait for the private proxies, and then some: it says so itself. */
const attachMs = 15_000;

export interface SuccessorOptions {
  readonly path: string;
  readonly name: string;
  readonly listeners: readonly InheritedListener[];
  readonly log: Log;
  /** Accepts nobody on the mesh and the admin addresses any more, tells private proxies, and resolves with who they are. */
  readonly begin: () => Promise<readonly ExpectedSession[]>;
  /** Resolves when nobody is accepted any more. */
  readonly stopAccepting: () => Promise<void>;
  /** There is nothing left to do but to let connections finish. */
  readonly done: () => void;
}

/** Waits for a process that takes over. */
export interface SuccessorDoor {
  close(): void;
}

/** Whoever can open the socket is this user. Throws `address_unavailable`. */
export async function awaitSuccessor(options: SuccessorOptions): Promise<SuccessorDoor> {
  const { path, name, log } = options;
  const open = new Set<Socket>();
  let isBusy = false;

  const server = createServer((socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    const lines = linesOf<FromSuccessor, FromPredecessor>(socket);
    serve(socket, lines).catch((error: unknown) => {
      log.error({ fault: messageOf(error) }, "handing over failed");
      socket.destroy();
    });
  });
  server.on("error", () => {});

  async function serve(socket: Socket, lines: Lines<FromSuccessor, FromPredecessor>): Promise<void> {
    const asked = await lines.next("takeOver", askMs);
    if (asked === undefined) return lines.close();
    const why = refusalOf(asked);
    if (why !== undefined) {
      lines.send({ type: "refused", why });
      log.warn({ pid: asked.pid, why }, "another process may not take over");
      return;
    }
    isBusy = true;
    log.info({ pid: asked.pid }, "another process is about to take over");
    sendListeners(socket, options.listeners);
    if ((await lines.next("ready", startMs)) === undefined) {
      isBusy = false;
      log.warn({ pid: asked.pid }, "the other process did not take over: this one goes on");
      return lines.close();
    }
    // A second one has this process's successor to ask.
    server.close();
    const sessions = await options.begin();
    lines.send({ type: "mesh", sessions });
    if ((await lines.next("attached", attachMs)) === undefined) {
      log.warn({ pid: asked.pid }, "the other process is gone, or slow: this one stops all the same");
    }
    await options.stopAccepting();
    lines.send({ type: "accept" });
    log.info({ pid: asked.pid }, "the other process has taken over");
    options.done();
  }

  function refusalOf(asked: Extract<FromSuccessor, { type: "takeOver" }>): string | undefined {
    if (asked.version !== takeOverVersion) return `it speaks version ${takeOverVersion} of this, not ${asked.version}`;
    if (asked.name !== name) return `it is called ${name}, not ${asked.name}`;
    return isBusy ? "it is handing over to another process already" : undefined;
  }

  await listenPrivately(server, path);
  return {
    close() {
      if (server.listening) server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

/** Each message takes so many descriptors at most. */
function sendListeners(socket: Socket, listeners: readonly InheritedListener[]): void {
  for (let at = 0; at < Math.max(1, listeners.length); at += mostRights) {
    const part = listeners.slice(at, at + mostRights);
    const line: FromPredecessor = {
      type: "listeners",
      pid: process.pid,
      listeners: part.map(({ use, address, bound }) => ({ use, address, bound })),
      last: at + mostRights >= listeners.length,
    };
    const text = `${JSON.stringify(line)}\n`;
    const descriptors = part.map(({ descriptor }) => descriptor);
    const sent = sendRights(loadLibc(), descriptorOf(socket) ?? -1, text, descriptors);
    if (sent !== Buffer.byteLength(text)) throw new ProxyError("internal", `sendmsg: ${sent}`);
  }
}

/** A file that is left over was tried before, and nobody answered: see `findPredecessor`. */
function listenPrivately(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) =>
      reject(new ProxyError("address_unavailable", `state.directory ${path}: ${messageOf(cause)}`, { cause }));
    server.once("error", failed);
    try {
      unlinkSync(path);
    } catch {
      // There is none.
    }
    const before = process.umask(0o177);
    try {
      server.listen({ path, exclusive: true }, () => {
        server.off("error", failed);
        chmodSync(path, 0o600);
        resolve();
      });
    } finally {
      process.umask(before);
    }
    server.unref();
  });
}
