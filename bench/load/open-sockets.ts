import { connect, type Socket } from "node:net";
import type { Kind } from "./hello.js";
import { helloOf } from "./hello.js";

/** Sockets of one activity, which are closed together. */
export interface OpenSockets {
  /** A connection whose hello is on its way. What it receives is handed to `received`, in a buffer that is used again. */
  open(port: number, kind: Kind, received: (bytes: number, socket: Socket) => void): Socket;
  /** How many were lost, other than by `closeAll`. */
  readonly lost: number;
  readonly size: number;
  closeAll(): Promise<void>;
}

const into = Buffer.alloc(256 * 1024);

export function openSockets(): OpenSockets {
  const sockets = new Set<Socket>();
  let closing: (() => void) | undefined;
  let lost = 0;
  return {
    open(port, kind, received) {
      const callback = (bytes: number) => {
        received(bytes, socket);
        return true;
      };
      const socket: Socket = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer: into, callback } });
      sockets.add(socket);
      socket.write(helloOf(kind));
      socket.on("error", () => {});
      socket.once("close", () => {
        sockets.delete(socket);
        if (closing === undefined) lost++;
        else if (sockets.size === 0) closing();
      });
      return socket;
    },
    get lost() {
      return lost;
    },
    get size() {
      return sockets.size;
    },
    async closeAll() {
      if (sockets.size === 0) return;
      const closed = new Promise<void>((resolve) => {
        closing = resolve;
      });
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
