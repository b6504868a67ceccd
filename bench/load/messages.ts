/** A message out, a message back, on connections that stay open. */
import type { Socket } from "node:net";
import { messageBytes } from "./hello.js";
import { openSockets } from "./open-sockets.js";
import { runLoad } from "./program.js";

export interface MessagesOptions {
  readonly port: number;
  readonly connections: number;
  readonly warmUpMs: number;
}

export interface MessagesResult {
  readonly answered: number;
  readonly failed: number;
  readonly roundTripMs: readonly number[];
}

const message = Buffer.alloc(messageBytes, "m");

runLoad<MessagesOptions, MessagesResult>(async ({ port, connections, warmUpMs }) => {
  const sockets = openSockets();
  let answered = 0;
  let roundTripMs: number[] = [];

  for (let i = 0; i < connections; i++) {
    let missing = 0;
    let sentAt = 0;
    const send = (socket: Socket) => {
      missing = messageBytes;
      sentAt = performance.now();
      socket.write(message);
    };
    const socket = sockets.open(port, "echo", (bytes, from) => {
      missing -= bytes;
      if (missing > 0) return;
      answered++;
      roundTripMs.push(performance.now() - sentAt);
      send(from);
    });
    send(socket);
  }
  await new Promise((resolve) => setTimeout(resolve, warmUpMs));

  return {
    begin() {
      answered = 0;
      roundTripMs = [];
    },
    result: () => ({ answered, failed: sockets.lost, roundTripMs }),
    stop: () => sockets.closeAll(),
  };
});
