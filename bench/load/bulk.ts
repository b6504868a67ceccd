/** As many bytes as go through, one way. */
import type { Socket } from "node:net";
import { openSockets } from "./open-sockets.js";
import { runLoad } from "./program.js";

export interface BulkOptions {
  readonly port: number;
  readonly streams: number;
  readonly direction: "up" | "down";
  readonly warmUpMs: number;
}

export interface BulkResult {
  readonly bytes: number;
  readonly failed: number;
}

const block = Buffer.alloc(256 * 1024, "u");

runLoad<BulkOptions, BulkResult>(async ({ port, streams, direction, warmUpMs }) => {
  const open = openSockets();
  let received = 0;
  const sockets: Socket[] = [];
  for (let i = 0; i < streams; i++) {
    const kind = direction === "down" ? "source" : "sink";
    const socket = open.open(port, kind, (bytes) => {
      received += bytes;
    });
    sockets.push(socket);
    if (direction === "down") continue;
    const write = () => {
      while (socket.writable && socket.write(block));
    };
    socket.on("drain", write);
    socket.once("connect", write);
  }
  await new Promise((resolve) => setTimeout(resolve, warmUpMs));

  /** Upwards: what was given to the kernel. Its buffers are as full at the end as at the beginning. */
  const moved = () =>
    direction === "down"
      ? received
      : sockets.reduce((sum, socket) => sum + socket.bytesWritten - socket.writableLength, 0);
  let before = 0;
  return {
    begin() {
      before = moved();
    },
    result: () => ({ bytes: moved() - before, failed: open.lost }),
    stop: () => open.closeAll(),
  };
});
