import { randomBytes } from "node:crypto";
import type { Counters } from "../base/counters.js";
import { ProxyError } from "../base/errors.js";
import type { ReasonCode } from "../base/reasons.js";
import { createRoster, type Roster, type RosterMember } from "../base/roster.js";
import { addressText } from "../transport/address-text.js";
import type { Endpoint, EndpointAddress, Splice, SpliceResult } from "../transport/endpoint.js";
import type { ClientTallies } from "./client-tallies.js";
import type { Loads } from "./loads.js";
import type { BegunConnection, ConnectionRecord } from "./messages.js";
import type { Announcer } from "./names.js";
import { refusalBytes } from "./refusal.js";

/** One client connection from accept to its end. */
export interface LiveConnection {
  readonly id: string;
  /** Until it is spliced. */
  readonly client: Endpoint;
  /** Where the client is, and where it connected to: as the socket says, or as a load balancer's PROXY header said. */
  readonly source: EndpointAddress;
  readonly destination: EndpointAddress;
  cameFrom(source: EndpointAddress, destination: EndpointAddress): void;
  /** Another worker read its hello, and what stood before it. */
  readonly passed: boolean;
  /** The session that the other worker has chosen for it. */
  readonly chosen: string | undefined;
  readonly ageMs: number;
  /** It is another worker's now, and its end is told there. */
  passOn(): void;
  serverName: string | undefined;
  /**
   * Counts it under its client's address, or under its server name, until it has ended; not at all without a `max`. Throws
   * `client_address_full` or `name_full`. At most once each.
   */
  countAddress(max: number | undefined): void;
  countName(max: number | undefined): void;
  /** The client has left, or the connection was refused or cut: nothing more is to be done for it. */
  readonly gone: boolean;
  /** What to call when that happens, or at once where it has happened; replaces what was set before. */
  whenGone(abandon: () => void): void;
  /** Tells the client why, where the code says how (mostly a TLS alert), and ends it. Only the first end of a connection counts. */
  refuse(code: ReasonCode, detail?: string): void;
  /** It is joined with a dial-back. Counts, and tells of its end when that comes. */
  splice(splice: Splice, announcer: Announcer, helloBytes: number): void;
}

export interface LiveConnections {
  /** `begun`: by another worker, which has counted it. */
  open(client: Endpoint, begun?: BegunConnection): LiveConnection;
  readonly size: number;
  /** Those that have no dial-back yet. */
  readonly unmet: number;
  /** Spliced connections of a session. */
  splicedTo(session: string): number;
  cutSession(session: string): void;
  cutAll(): void;
  /** Called when the last connection has ended. */
  whenEmpty(callback: () => void): void;
  /** Called once, when none is left that is neither spliced nor over. */
  whenAllMet(callback: () => void): void;
}

/** What the connections of one data plane share. */
interface Shared {
  readonly counters: Counters;
  readonly now: () => number;
  readonly ended: (record: ConnectionRecord) => void;
  readonly reports: () => boolean;
  readonly live: Roster<Connection>;
  readonly loads: Pick<Loads, "setLive" | "countSpliced"> | undefined;
  readonly tallies?: ClientTallies;
  countSession(session: string, by: 1 | -1): void;
  emptied: (() => void) | undefined;
  /** Connections that are not spliced yet. */
  unmet: number;
  allMet: (() => void) | undefined;
}

export function createLiveConnections(options: {
  counters: Counters;
  now: () => number;
  ended: (record: ConnectionRecord) => void;
  /** Whether anybody wants to be told of ends; yes, where it is not said. */
  reports?: () => boolean;
  loads?: Pick<Loads, "setLive" | "countSpliced">;
  tallies?: ClientTallies;
}): LiveConnections {
  const { loads } = options;
  const perSession = new Map<string, number>();
  const prefix = randomBytes(4).toString("hex");
  let serial = 0;
  const live = createRoster<Connection>();
  const shared: Shared = {
    reports: () => true,
    ...options,
    live,
    loads,
    countSession(session, by) {
      const count = (perSession.get(session) ?? 0) + by;
      if (count === 0) perSession.delete(session);
      else perSession.set(session, count);
      loads?.countSpliced(session, by);
    },
    emptied: undefined,
    unmet: 0,
    allMet: undefined,
  };

  return {
    open(client, begun) {
      shared.unmet++;
      const connection = new Connection(shared, begun?.id ?? `${prefix}-${(serial++).toString(36)}`, client, begun);
      live.add(connection);
      loads?.setLive(live.size);
      if (begun === undefined) options.counters.add("opened", 1);
      return connection;
    },
    get size() {
      return live.size;
    },
    get unmet() {
      return shared.unmet;
    },
    splicedTo: (session) => perSession.get(session) ?? 0,
    cutSession(session) {
      for (const connection of live.all()) if (connection.session === session) connection.cut();
    },
    cutAll() {
      for (const connection of live.all()) connection.cut();
    },
    whenEmpty(callback) {
      shared.emptied = callback;
      if (live.size === 0) callback();
    },
    whenAllMet(callback) {
      shared.allMet = callback;
      met(shared, 0);
    },
  };
}

/** So many have been spliced, or have ended before. */
function met(shared: Shared, count: 0 | 1): void {
  shared.unmet -= count;
  if (shared.unmet > 0 || shared.allMet === undefined) return;
  const tell = shared.allMet;
  shared.allMet = undefined;
  tell();
}

/** A class, and not closures, because there are thousands at once: once it is spliced it holds little. */
class Connection implements LiveConnection, RosterMember {
  rosterPlace = -1;
  readonly id: string;
  readonly passed: boolean;
  readonly chosen: string | undefined;
  serverName: string | undefined;
  readonly #shared: Shared;
  readonly #openedAt: number;
  /** Until it is spliced. */
  #client: Endpoint | undefined;
  #source: EndpointAddress;
  #destination: EndpointAddress | undefined;
  #abandon: (() => void) | undefined;
  #splice: Splice | undefined;
  #announcer: Announcer | undefined;
  #helloBytes = 0;
  #addressPlace: number | undefined;
  #namePlace: number | undefined;
  /** Its end has not been told yet. */
  #open = true;
  #gone = false;

  constructor(shared: Shared, id: string, client: Endpoint, begun: BegunConnection | undefined) {
    this.#shared = shared;
    this.id = id;
    this.passed = begun !== undefined;
    this.chosen = begun?.session;
    this.#client = client;
    this.#openedAt = shared.now() - (begun?.ageMs ?? 0);
    this.#source = begun?.source ?? client.remote;
    this.#destination = begun?.destination ?? client.local;
    client.hangup.then(() => this.#leave());
  }

  get client(): Endpoint {
    if (this.#client === undefined) throw new ProxyError("internal", "a spliced client is the splice's");
    return this.#client;
  }

  get source(): EndpointAddress {
    return this.#source;
  }

  get destination(): EndpointAddress {
    return this.#destination ?? { family: "unix" };
  }

  get ageMs(): number {
    return this.#shared.now() - this.#openedAt;
  }

  get gone(): boolean {
    return this.#gone;
  }

  get session(): string | undefined {
    return this.#announcer?.session.session;
  }

  cameFrom(source: EndpointAddress, destination: EndpointAddress): void {
    this.#source = source;
    this.#destination = destination;
  }

  countAddress(max: number | undefined): void {
    // Who has ended meanwhile would never leave.
    if (max === undefined || !this.#open) return;
    this.#addressPlace = this.#shared.tallies?.enterAddress(this.#source, this.#most(max));
  }

  countName(max: number | undefined): void {
    if (max === undefined || !this.#open) return;
    this.#namePlace = this.#shared.tallies?.enterName(this.serverName, this.#most(max));
  }

  /** Who was passed on was let in before. */
  #most(max: number): number {
    return this.passed ? Number.POSITIVE_INFINITY : max;
  }

  whenGone(abandon: () => void): void {
    if (this.#gone) abandon();
    else this.#abandon = abandon;
  }

  refuse(code: ReasonCode, detail?: string): void {
    if (!this.#open) return;
    this.#shared.counters.refuse(code);
    const client = this.#client;
    const last = this.#gone ? undefined : refusalBytes(code);
    this.#leave();
    // Counted by the time the client sees its end.
    this.#close({ bytesUp: 0, bytesDown: 0, endedBy: code, refused: code, detail });
    if (last === undefined) client?.destroy();
    else client?.end(last);
  }

  splice(started: Splice, to: Announcer, helloBytes: number): void {
    // It was cut in the very moment in which it was joined.
    if (!this.#open) return started.cut();
    this.#splice = started;
    met(this.#shared, 1);
    this.#announcer = to;
    this.#helloBytes = helloBytes;
    this.#abandon = undefined;
    this.#client = undefined;
    this.#destination = undefined;
    this.#shared.counters.add("bytesUp", helloBytes);
    this.#shared.countSession(to.session.session, 1);
    started.whenDone((result) => this.#close(connectionEnd(result, this.#helloBytes)));
  }

  passOn(): void {
    if (!this.#open) return;
    this.#abandon = undefined;
    this.#forget();
  }

  cut(): void {
    if (this.#splice !== undefined) this.#splice.cut();
    else this.refuse("stopping");
  }

  #leave(): void {
    if (this.#gone || this.#splice !== undefined) return;
    this.#gone = true;
    this.#abandon?.();
    this.#abandon = undefined;
  }

  #close(end: Pick<ConnectionRecord, "bytesUp" | "bytesDown" | "endedBy"> & Partial<ConnectionRecord>): void {
    if (!this.#open) return;
    const { counters, now, reports, ended, countSession } = this.#shared;
    const session = this.#announcer?.session;
    if (session !== undefined) countSession(session.session, -1);
    counters.add("closed", 1);
    if (reports())
      ended({
        connection: this.id,
        serverName: this.serverName,
        client: addressText(this.#source),
        peer: session === undefined ? undefined : `${session.identity} (${session.name})`,
        refused: undefined,
        detail: undefined,
        ...end,
        ms: Math.round(now() - this.#openedAt),
      });
    this.#forget();
  }

  /** What is over holds nothing: whoever still knows of it must not keep the rest. */
  #forget(): void {
    const { live, loads, tallies, emptied } = this.#shared;
    this.#open = false;
    if (this.#splice === undefined) met(this.#shared, 1);
    if (this.#addressPlace !== undefined) tallies?.leaveAddress(this.#addressPlace);
    if (this.#namePlace !== undefined) tallies?.leaveName(this.#namePlace);
    this.#splice = undefined;
    this.#announcer = undefined;
    this.#client = undefined;
    live.delete(this);
    loads?.setLive(live.size);
    if (live.size === 0) emptied?.();
  }
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
