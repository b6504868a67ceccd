/** Connections that are opened, answered with one byte, and then silent. */
import { openSockets } from "./open-sockets.js";
import { runLoad } from "./program.js";

export interface HoldOptions {
  readonly port: number;
  readonly connections: number;
}

export interface HoldResult {
  readonly open: number;
}

/** Connections under way at once. */
const concurrency = 32;
/** The first that fails ends the run: the figure would be of something else. */
const patienceMs = 15_000;

runLoad<HoldOptions, HoldResult>(async ({ port, connections }) => {
  const sockets = openSockets();
  let started = 0;
  let answered = 0;
  await new Promise<void>((resolve, reject) => {
    let timer = setTimeout(giveUp, patienceMs);
    function giveUp(): void {
      reject(new Error(`${answered} of ${connections} silent connections are open, and no more come`));
    }
    function next(): void {
      if (started === connections) return;
      started++;
      sockets.open(port, "hold", () => {
        answered++;
        clearTimeout(timer);
        if (answered === connections) return resolve();
        timer = setTimeout(giveUp, patienceMs);
        next();
      });
    }
    for (let i = 0; i < concurrency; i++) next();
  });
  return {
    begin() {},
    result: () => ({ open: sockets.size }),
    stop: () => sockets.closeAll(),
  };
});
