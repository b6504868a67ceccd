/**
 * A link with a one-way delay, on loopback. Everything arrives `delayMs` after it was sent, and so does the handshake: a
 * client that has dialled learns of it only a round trip later, so nothing of it can be on its way before that.
 */
import { connect, createServer, type Server, type Socket } from "node:net";

/** A timer may be a millisecond late; the rest is waited for in the loop. */
const timerSlackMs = 2;

export interface DelayLine {
  readonly port: number;
  /** By how much each piece came later than it should have, in milliseconds, since the last call. */
  errorsMs(): number[];
  close(): Promise<void>;
}

export async function openDelayLine(target: number, delayMs: number): Promise<DelayLine> {
  const agenda = createAgenda();
  const sockets = new Set<Socket>();
  const server: Server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    const dialledAt = performance.now();
    const knownAt = dialledAt + 2 * delayMs;
    const acceptedAt = knownAt + delayMs;
    let far: Socket | undefined;
    track(near);
    agenda.at(acceptedAt, () => {
      far = connect({ port: target, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
      track(far);
      far.on("close", () => follow(near));
      relay(far, near, () => performance.now() + delayMs);
    });
    near.on("close", () => follow(far));
    relay(
      near,
      () => far,
      () => Math.max(performance.now(), knownAt) + delayMs,
    );
  });

  /** The other end is gone. That, too, travels; and where the stream has been ended in order, there is nothing to cut. */
  function follow(left: Socket | undefined): void {
    agenda.at(performance.now() + delayMs, () => void (left?.writableEnded || left?.destroy()));
  }

  function track(socket: Socket): void {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => sockets.delete(socket));
  }

  function relay(from: Socket, to: Socket | (() => Socket | undefined), due: () => number): void {
    const destination = typeof to === "function" ? to : () => to;
    from.on("data", (chunk: Buffer) => agenda.at(due(), () => void destination()?.write(chunk)));
    from.on("end", () => agenda.at(due(), () => void destination()?.end()));
  }

  await new Promise<void>((resolve) => server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, resolve));
  return {
    port: (server.address() as { port: number }).port,
    errorsMs: agenda.errorsMs,
    async close() {
      agenda.clear();
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Does things at their time, in order of it; of two with one time the one that was entered first. */
function createAgenda() {
  const entries: { readonly due: number; readonly act: () => void }[] = [];
  let late: number[] = [];
  let timer: NodeJS.Timeout | undefined;
  let immediate: NodeJS.Immediate | undefined;

  function run(): void {
    timer = undefined;
    immediate = undefined;
    for (let next = entries[0]; next !== undefined && next.due <= performance.now(); next = entries[0]) {
      entries.shift();
      late.push(performance.now() - next.due);
      next.act();
    }
    wait();
  }

  function wait(): void {
    const next = entries[0];
    if (next === undefined || immediate !== undefined) return;
    clearTimeout(timer);
    timer = undefined;
    const ms = next.due - performance.now() - timerSlackMs;
    if (ms > 1) timer = setTimeout(run, Math.floor(ms));
    else immediate = setImmediate(run);
  }

  return {
    at(due: number, act: () => void): void {
      let place = entries.length;
      while (place > 0 && entries[place - 1]!.due > due) place--;
      entries.splice(place, 0, { due, act });
      wait();
    },
    errorsMs(): number[] {
      const taken = late;
      late = [];
      return taken;
    },
    clear(): void {
      entries.length = 0;
      clearTimeout(timer);
      clearImmediate(immediate);
    },
  };
}
