import type { Socket } from "node:net";

/**
 * The little that is asked of the handle under a socket, which Node does not document but has had in every version so
 * far. Nothing depends on it for safety: where it is missing, a check is left out.
 */
interface Handle {
  readonly fd?: number;
  /** Returns zero, or a negative errno. */
  readonly getpeername?: (into: object) => number;
}

function handleOf(socket: Socket): Handle | null | undefined {
  return (socket as Socket & { _handle?: Handle | null })._handle;
}

/** The number of the socket's descriptor. On Windows it is -1. */
export function descriptorOf(socket: Socket): number | undefined {
  return handleOf(socket)?.fd;
}

/** False when the system has forgotten the peer of a TCP socket: it was reset, or is closed in both directions. */
export function hasPeer(socket: Socket): boolean {
  // `socket.remoteAddress` is remembered, and does not tell.
  return (handleOf(socket)?.getpeername?.({}) ?? 0) === 0;
}

const nothing = Buffer.alloc(0);

/**
 * To be called on `end`: calls `ended` when it was a FIN. libuv also reports an end of file when a RST arrives while bytes
 * are still unread in the kernel (it takes a partial read with POLLHUP for the end, and leaves the error pending). The
 * pending error then shows on a write of zero bytes, as the socket's `error`: ECONNRESET, or EPIPE where the FIN came
 * first. Not told apart is a RST after this side has sent its own FIN.
 */
export function onceEndIsSure(socket: Socket, ended: () => void): void {
  if (hasPeer(socket) || socket.destroyed || socket.writableEnded) {
    ended();
    return;
  }
  socket.write(nothing, (error) => {
    if (!error) ended();
  });
}
