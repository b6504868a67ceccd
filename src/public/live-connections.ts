import { randomBytes } from "node:crypto";
import type { Counters } from "../base/counters.js";
import type { ReasonCode } from "../base/reasons.js";
import type { Endpoint, EndpointAddress, Splice, SpliceResult } from "../transport/endpoint.js";
import type { ConnectionRecord } from "./messages.js";
import type { Announcer } from "./names.js";
import { refusalBytes } from "./refusal.js";

/** One client connection from accept to its end. */
export interface LiveConnection {
  readonly id: string;
  readonly client: Endpoint;
  /** Where the client is, and where it connected to: as the socket says, or as a load balancer's PROXY header said. */
  readonly source: EndpointAddress;
  readonly destination: EndpointAddress;
  cameFrom(source: EndpointAddress, destination: EndpointAddress): void;
  serverName: string | undefined;
  /** The client has left, or the connection was refused or cut: nothing more is to be done for it. */
  readonly gone: boolean;
  /** What to call when that happens, or at once where it has happened; replaces what was set before. */
  whenGone(abandon: () => void): void;
  /** Tells the client why, where the code says how (mostly a TLS alert), and ends it. Only the first end of a connection counts. */
  refuse(code: ReasonCode, detail?: string): void;
  /** Joins it with the dial-back; resolves when it has ended. */
  splice(splice: Splice, announcer: Announcer, helloBytes: number): Promise<void>;
}

export interface LiveConnections {
  open(client: Endpoint): LiveConnection;
  readonly size: number;
  /** Spliced connections of a session. */
  splicedTo(session: string): number;
  cutSession(session: string): void;
  cutAll(): void;
  /** Called when the last connection has ended. */
  whenEmpty(callback: () => void): void;
}

export function createLiveConnections(options: {
  counters: Counters;
  now: () => number;
  ended: (record: ConnectionRecord) => void;
}): LiveConnections {
  const { counters, now, ended } = options;
  const live = new Set<{ cut(): void; readonly session: string | undefined }>();
  const perSession = new Map<string, number>();
  const prefix = randomBytes(4).toString("hex");
  let serial = 0;
  let emptied: (() => void) | undefined;

  function countSession(session: string, by: 1 | -1): void {
    const count = (perSession.get(session) ?? 0) + by;
    if (count === 0) perSession.delete(session);
    else perSession.set(session, count);
  }

  function open(client: Endpoint): LiveConnection {
    const id = `${prefix}-${(serial++).toString(36)}`;
    const openedAt = now();
    let { remote: source, local: destination } = client;
    let abandon: (() => void) | undefined;
    let splice: Splice | undefined;
    let announcer: Announcer | undefined;
    let open = true;
    let gone = false;

    function leave(): void {
      if (gone || splice !== undefined) return;
      gone = true;
      abandon?.();
      abandon = undefined;
    }

    function close(result: {
      bytesUp: number;
      bytesDown: number;
      endedBy: string;
      refused?: ReasonCode;
      detail?: string | undefined;
    }): void {
      if (!open) return;
      open = false;
      live.delete(entry);
      if (announcer !== undefined) countSession(announcer.session.session, -1);
      counters.add("closed", 1);
      ended({
        connection: id,
        serverName: connection.serverName,
        client: addressText(source),
        peer: announcer === undefined ? undefined : `${announcer.session.identity} (${announcer.session.name})`,
        bytesUp: result.bytesUp,
        bytesDown: result.bytesDown,
        endedBy: result.endedBy,
        refused: result.refused,
        detail: result.detail,
        ms: Math.round(now() - openedAt),
      });
      if (live.size === 0) emptied?.();
    }

    const connection: LiveConnection = {
      id,
      client,
      get source() {
        return source;
      },
      get destination() {
        return destination;
      },
      cameFrom(from, to) {
        source = from;
        destination = to;
      },
      serverName: undefined,
      get gone() {
        return gone;
      },
      whenGone(callback) {
        if (gone) callback();
        else abandon = callback;
      },
      refuse(code, detail) {
        if (!open) return;
        counters.refuse(code);
        const last = refusalBytes(code);
        if (last === undefined || gone) client.destroy();
        else client.end(last);
        leave();
        close({ bytesUp: 0, bytesDown: 0, endedBy: code, refused: code, detail });
      },
      async splice(started, to, helloBytes) {
        if (!open) {
          // It was cut in the very moment in which it was joined.
          started.cut();
          await started.done;
          return;
        }
        splice = started;
        announcer = to;
        abandon = undefined;
        counters.add("bytesUp", helloBytes);
        countSession(to.session.session, 1);
        close(connectionEnd(await started.done, helloBytes));
      },
    };
    const entry = {
      get session() {
        return announcer?.session.session;
      },
      cut() {
        if (splice !== undefined) splice.cut();
        else connection.refuse("stopping");
      },
    };
    live.add(entry);
    counters.add("opened", 1);
    client.hangup.then(leave);
    return connection;
  }

  return {
    open,
    get size() {
      return live.size;
    },
    splicedTo: (session) => perSession.get(session) ?? 0,
    cutSession(session) {
      for (const entry of [...live]) if (entry.session === session) entry.cut();
    },
    cutAll() {
      for (const entry of [...live]) entry.cut();
    },
    whenEmpty(callback) {
      emptied = callback;
      if (live.size === 0) callback();
    },
  };
}

/** Endpoint a of the splice is the client, b the dial-back. */
function connectionEnd(result: SpliceResult, helloBytes: number) {
  const endedBy = {
    a_ended: "client",
    b_ended: "server",
    a_reset: "client_reset",
    b_reset: "server_reset",
    idle_timeout: "idle_timeout",
    half_closed_timeout: "half_closed_timeout",
    cut: "cut",
  } as const;
  return { bytesUp: helloBytes + result.bytesAb, bytesDown: result.bytesBa, endedBy: endedBy[result.endedBy] };
}

/** `ip:port`, for logs and offers. */
export function addressText(address: EndpointAddress): string {
  if (address.family === "unix") return "unix";
  return address.family === "ipv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
