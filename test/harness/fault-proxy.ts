import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onceEndIsSure } from "../../src/transport/node/handle.js";

/**
 * What a link does to the connections over it. `blackHole`: not a byte, FIN or reset comes through, and new connections are
 * taken and left without a word; when it ends, all goes on, as after lost packets. `slow`: small pieces, each late. `cut`:
 * everything is reset, and so is everybody who comes.
 */
export type LinkState = "whole" | "blackHole" | "slow" | "cut";

/** A TCP relay on loopback whose connections can be broken in every way in which a network breaks them. */
export interface FaultProxy {
  readonly port: number;
  readonly state: LinkState;
  /** Connections open now, on the side of those who dialled. */
  readonly open: number;
  become(state: LinkState): void;
  /** Resets every connection on both sides; new ones are relayed. */
  resetAll(): void;
  /**
   * Every connection is lost on one side only: `dialler` or `listener` gets a reset, the other nothing at all, ever, until
   * `settleOrphans`. What a reboot does, or an address translation that forgot.
   */
  halfOpenAll(left: "dialler" | "listener"): void;
  /** Whose peer was lost is told so now, as a host that came back tells it: by a reset. */
  settleOrphans(): void;
  close(): Promise<void>;
}

const slowPieceBytes = 2048;
const slowPieceMs = 20;

interface Relayed {
  readonly near: Socket;
  far: Socket | undefined;
  /** One side is lost: the other is left alone. */
  orphan: Socket | undefined;
}

/** Relays what comes to `host:port` (0: any) to `target` on 127.0.0.1. */
export async function openFaultProxy(options: {
  readonly target: number;
  readonly host?: string;
  readonly port?: number;
}): Promise<FaultProxy> {
  const { target, host = "127.0.0.1", port = 0 } = options;
  const links = new Set<Relayed>();
  /** What is to go on when the black hole ends. */
  const held: (() => void)[] = [];
  const timers = new Set<NodeJS.Timeout>();
  let state: LinkState = "whole";

  const server = createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true }, (near) => {
    const link: Relayed = { near, far: undefined, orphan: undefined };
    links.add(link);
    near.on("error", () => {});
    near.once("close", () => {
      if (link.far === undefined) links.delete(link);
    });
    if (state === "cut") return void near.resetAndDestroy();
    whenLetThrough(() => join(link));
  });

  function join(link: Relayed): void {
    const { near } = link;
    if (near.destroyed) return;
    const far = connect({ port: target, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    link.far = far;
    far.on("error", () => {});
    relay(link, near, far);
    relay(link, far, near);
  }

  function relay(link: Relayed, from: Socket, to: Socket): void {
    from.on("data", (chunk: Buffer) => {
      if (link.orphan !== undefined) return;
      if (state === "slow") {
        from.pause();
        return dribble(chunk);
      }
      if (state === "blackHole") {
        from.pause();
        return whenLetThrough(() => pass(chunk));
      }
      pass(chunk);
    });
    from.once("end", () => onceEndIsSure(from, () => whenLetThrough(() => link.orphan === undefined && to.end())));
    from.once("close", () => {
      whenLetThrough(() => {
        if (to.destroyed) links.delete(link);
        // What was ended in order has been passed on; all else was a reset.
        else if (link.orphan === undefined && !(from.readableEnded && from.writableFinished)) to.resetAndDestroy();
      });
    });
    from.resume();

    function pass(chunk: Buffer): void {
      if (link.orphan !== undefined || to.destroyed) return;
      if (to.write(chunk)) from.resume();
      else {
        from.pause();
        to.once("drain", () => whenLetThrough(() => from.resume()));
      }
    }

    function dribble(chunk: Buffer): void {
      if (link.orphan !== undefined || to.destroyed) return;
      if (state === "blackHole") return whenLetThrough(() => pass(chunk));
      if (state !== "slow") return pass(chunk);
      to.write(chunk.subarray(0, slowPieceBytes));
      const rest = chunk.subarray(slowPieceBytes);
      later(slowPieceMs, () => (rest.length > 0 ? dribble(rest) : from.resume()));
    }
  }

  function whenLetThrough(act: () => void): void {
    if (state === "blackHole") held.push(act);
    else act();
  }

  function later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      act();
    }, ms);
    timers.add(timer);
  }

  function each(act: (link: Relayed) => void): void {
    for (const link of [...links]) act(link);
  }

  function resetLink({ near, far }: Relayed): void {
    near.resetAndDestroy();
    far?.resetAndDestroy();
  }

  server.listen({ port, host, backlog: 1024 });
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    get state() {
      return state;
    },
    get open() {
      return links.size;
    },
    become(next) {
      if (next === state) return;
      const wasBlackHole = state === "blackHole";
      state = next;
      if (next === "cut") {
        held.length = 0;
        return each(resetLink);
      }
      if (wasBlackHole) for (const act of held.splice(0)) act();
    },
    resetAll: () => each(resetLink),
    halfOpenAll(left) {
      each((link) => {
        if (link.orphan !== undefined || link.far === undefined) return;
        const [lost, kept] = left === "dialler" ? [link.near, link.far] : [link.far, link.near];
        link.orphan = kept;
        // Read on: what comes is swallowed, as by a way on which everything is lost.
        kept.resume();
        lost.resetAndDestroy();
      });
    },
    settleOrphans: () => each(({ orphan }) => orphan?.resetAndDestroy()),
    async close() {
      held.length = 0;
      for (const timer of timers) clearTimeout(timer);
      const closed = once(server, "close");
      server.close();
      for (const { near, far } of links) {
        near.destroy();
        far?.destroy();
      }
      await closed;
    },
  };
}
