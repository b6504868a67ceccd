import { lstatSync } from "node:fs";
import { connect, type Socket } from "node:net";

/** How long a unix socket file that is in the way may take to answer before it counts as alive. */
const staleProbeMs = 1000;

/** Whether the path is a unix socket that nobody listens on: connecting to it is refused. */
export function isStaleSocket(path: string): Promise<boolean> {
  if (!isSocketFile(path)) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket: Socket = connect({ path, timeout: staleProbeMs });
    const answer = (stale: boolean) => {
      socket.destroy();
      resolve(stale);
    };
    socket.once("connect", () => answer(false));
    socket.once("timeout", () => answer(false));
    socket.on("error", (error: NodeJS.ErrnoException) => answer(error.code === "ECONNREFUSED"));
  });
}

function isSocketFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true;
}
