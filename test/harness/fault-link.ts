import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { ExecutionContext } from "ava";

/** `up` is what the dialler sends. */
export type Direction = "up" | "down" | "both";

/** A link between a dialler and a port on loopback, which can be made to swallow everything. */
export interface FaultLink {
  readonly port: number;
  /** Connections through it now. */
  readonly open: number;
  /**
   * From here on nothing passes in this direction, nor on connections that are made meanwhile: as on a network that drops
   * packets, of which retransmission delivers what was sent when it heals. Nobody is told anything.
   */
  pause(direction: Direction): void;
  resume(): void;
  /** Ends every connection at once. */
  cut(): void;
  /** The same, and listens no more. */
  close(): void;
}

/** Leads to a port of 127.0.0.1, which may be known later; listens on a port of the system's choice, unless it is told where. Closed when the test ends. */
export async function faultLink(
  t: ExecutionContext,
  to: number | (() => number),
  at: { readonly host: string; readonly port: number } = { host: "127.0.0.1", port: 0 },
): Promise<FaultLink> {
  const pairs = new Set<readonly [dialler: Socket, target: Socket]>();
  let stopped: readonly Direction[] = [];
  const flows = (direction: Direction) => !stopped.includes(direction) && !stopped.includes("both");

  const server = createServer({ allowHalfOpen: true }, (dialler) => {
    const target = connect({ port: typeof to === "number" ? to : to(), host: "127.0.0.1", allowHalfOpen: true });
    const pair = [dialler, target] as const;
    pairs.add(pair);
    pass(dialler, target, "up");
    pass(target, dialler, "down");
    for (const [one, other] of [pair, [target, dialler]] as const) {
      one.setNoDelay(true);
      one.on("error", () => {});
      one.once("close", () => {
        // A link that swallows packets swallows resets, too.
        if (stopped.length === 0) other.destroy();
        if (other.destroyed) pairs.delete(pair);
      });
    }
  });

  function pass(from: Socket, into: Socket, direction: Direction): void {
    if (!flows(direction)) from.pause();
    from.on("data", (bytes) => void into.write(bytes));
    from.on("end", () => into.end());
  }

  function apply(): void {
    for (const [dialler, target] of pairs) {
      if (stopped.length === 0 && (dialler.destroyed || target.destroyed)) {
        dialler.destroy();
        target.destroy();
      }
      for (const [socket, direction] of [[dialler, "up"] as const, [target, "down"] as const]) {
        if (flows(direction)) socket.resume();
        else socket.pause();
      }
    }
  }

  function cut(): void {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  }

  function close(): void {
    server.close();
    cut();
  }

  server.listen(at.port, at.host);
  await once(server, "listening");
  t.teardown(close);
  return {
    port: (server.address() as AddressInfo).port,
    get open() {
      return pairs.size;
    },
    pause(direction) {
      stopped = [direction];
      apply();
    },
    resume() {
      stopped = [];
      apply();
    },
    cut,
    close,
  };
}
