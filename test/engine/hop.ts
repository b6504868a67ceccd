import { readdirSync, readlinkSync } from "node:fs";
import type { Socket } from "node:net";
import type { ExecutionContext } from "ava";
import type { Address } from "../../src/base/address.js";
import type { Splice, SpliceOptions, SpliceResult } from "../../src/transport/endpoint.js";
import type { Transport } from "../../src/transport/transport.js";
import { listenOn, portOf, rawConnect, rawServer, soon } from "./peers.js";

/** One listener and one server with the engine between them, for crowds: every client is spliced to a connection of its own. */
export interface Hop {
  /** A new client. */
  client(): Socket;
  /** The next connection at the server; in no order. */
  server(): Promise<Socket>;
  readonly splices: readonly Splice[];
  /** The results so far. */
  readonly results: readonly SpliceResult[];
  /** Resolves when as many splices have ended as clients have come, those that ended before the splice included. */
  over(clients: number): Promise<void>;
}

export async function hop(
  t: ExecutionContext,
  transport: Transport,
  options: {
    readonly limits?: Partial<SpliceOptions>;
    /** Unix sockets instead of TCP, on both sides. */
    readonly directory?: string;
  } = {},
): Promise<Hop> {
  const { directory } = options;
  const limits = { idleTimeoutMs: 30_000, halfClosedTimeoutMs: 30_000, moved() {}, ...options.limits };
  const server = await rawServer(t, directory && `${directory}/server`);
  const splices: Splice[] = [];
  const results: SpliceResult[] = [];
  let ended = 0;
  let look = () => {};
  const end = () => {
    ended++;
    look();
  };
  const address: Address | undefined =
    directory === undefined ? undefined : { kind: "unix", path: `${directory}/listener` };
  const listener = await listenOn(
    t,
    transport,
    (a) => {
      transport.connect(server.address, soon()).connected.then(
        (b) => {
          const splice = transport.splice(a, b, limits);
          splices.push(splice);
          splice.whenDone((result) => {
            results.push(result);
            end();
          });
        },
        () => {
          a.destroy();
          end();
        },
      );
    },
    address,
  );
  const to = directory === undefined ? { port: portOf(listener) } : { path: `${directory}/listener` };
  return {
    client: () => rawConnect(t, to),
    server: server.next,
    splices,
    results,
    over: (clients) =>
      new Promise((resolve) => {
        look = () => {
          if (ended >= clients) resolve();
        };
        look();
      }),
  };
}

/** How many descriptors this process has, and how many of them are ends of pipes. */
export function openDescriptors(): { readonly all: number; readonly pipeEnds: number } {
  const links = readdirSync("/proc/self/fd").map((number) => {
    try {
      return readlinkSync(`/proc/self/fd/${number}`);
    } catch {
      return ""; // the one that the listing was made with
    }
  });
  return { all: links.length, pipeEnds: links.filter((link) => link.startsWith("pipe:")).length };
}
