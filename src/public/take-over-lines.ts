import type { Socket } from "node:net";
import { messageOf } from "../base/errors.js";
import type { InheritedListener } from "../transport/inherited.js";
import type { ExpectedSession } from "./control-plane.js";

/**
 * What the process that runs and the one that takes over say to each other, in lines of JSON. Both belong to one user, and
 * may be of different versions: fields are added, and an unknown line is passed over.
 */
export const takeOverVersion = 1;

export type FromSuccessor =
  /** The first line. `name` is the proxy's: another one's sockets are not asked for. */
  | { readonly type: "takeOver"; readonly version: number; readonly name: string; readonly pid: number }
  /** All is there to serve; nobody is accepted yet. */
  | { readonly type: "ready" }
  /** The private proxies have come, or it is not waited for them any longer. */
  | { readonly type: "attached" };

export type FromPredecessor =
  | { readonly type: "refused"; readonly why: string }
  /** The descriptors came with this line, in this order. More follow where it is not the last one. */
  | {
      readonly type: "listeners";
      readonly pid: number;
      readonly listeners: readonly Omit<InheritedListener, "descriptor">[];
      readonly last: boolean;
    }
  /** The mesh and the admin addresses are free: nobody is accepted there any more, and private proxies were told. */
  | { readonly type: "mesh"; readonly sessions: readonly ExpectedSession[] }
  /** Nobody is accepted here any more. */
  | { readonly type: "accept" };

/** Ten thousand private proxies fill two of them. */
const maxLineBytes = 16 << 20;

/** Gathers lines. Throws where one is no JSON, or too long. */
export function lineReader<Line>(take: (line: Line) => void): (bytes: Uint8Array) => void {
  let rest = Buffer.alloc(0);
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      const line = rest.subarray(0, end).toString();
      rest = rest.subarray(end + 1);
      take(JSON.parse(line) as Line);
    }
    if (rest.length > maxLineBytes) throw new Error("a line is too long");
  };
}

/** The lines of a socket as they come; a socket that says what is no line is destroyed. */
export interface Lines<In extends { readonly type: string }, Out> {
  send(line: Out): void;
  /** Resolves with the next line of this type; undefined when the peer has gone, or the time is over. */
  next<T extends In["type"]>(type: T, ms: number): Promise<Extract<In, { type: T }> | undefined>;
  readonly closed: Promise<void>;
  close(): void;
}

export function linesOf<In extends { readonly type: string }, Out>(
  socket: Socket,
  early: readonly In[] = [],
  feed: Uint8Array = new Uint8Array(),
): Lines<In, Out> {
  const queue: In[] = [...early];
  let look = () => {};
  const read = lineReader<In>((line) => {
    queue.push(line);
    look();
  });
  const take = (bytes: Uint8Array) => {
    try {
      read(bytes);
    } catch (error) {
      socket.destroy(new Error(messageOf(error)));
    }
  };
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => resolve());
  });
  socket.on("error", () => {});
  socket.on("end", () => socket.destroy());
  take(feed);
  socket.on("data", take);
  return {
    send: (line) => void socket.write(`${JSON.stringify(line)}\n`),
    next<T extends In["type"]>(type: T, ms: number) {
      return new Promise<Extract<In, { type: T }> | undefined>((resolve) => {
        const done = (line?: Extract<In, { type: T }>) => {
          clearTimeout(timer);
          look = () => {};
          resolve(line);
        };
        const timer = setTimeout(done, ms);
        look = () => {
          const at = queue.findIndex((line) => line.type === type);
          if (at !== -1) done(queue.splice(at, 1)[0] as Extract<In, { type: T }>);
        };
        void closed.then(() => done());
        look();
      });
    },
    closed,
    close: () => socket.destroy(),
  };
}
