import type { Port } from "../base/port.js";
import type { Preface } from "../rendezvous/preface.js";
import { tokenWorker } from "../rendezvous/token.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { Exchange } from "../transport/epoll/boot.js";
import type { LiveConnection, LiveConnections } from "./live-connections.js";
import type { Loads } from "./loads.js";
import type { FromPublicDataPlane, PassedAs, ToPublicDataPlane } from "./messages.js";
import { createRelief } from "./relief.js";
import type { Claim } from "./tokens.js";

/** Where there are several workers: what one of them gives to another. */
export interface Passing {
  /** False where a new client stays here. Otherwise it is another worker's, or has left. */
  newClient(client: Endpoint): boolean;
  /** A dial-back whose token another worker made goes there; undefined where it is this worker's. */
  dialBack(preface: Preface, dialBack: Endpoint): Claim | undefined;
  /** A client whose hello was read goes where a dial-back is parked for it. False where it stays. */
  begun(connection: LiveConnection, bytes: Uint8Array, session: string): boolean;
}

export function createPassing(options: {
  exchange: Exchange;
  worker: number;
  loads: Loads;
  port: Port<ToPublicDataPlane, FromPublicDataPlane>;
  connections: LiveConnections;
}): Passing {
  const { exchange, worker, loads, port, connections } = options;
  const relief = createRelief({ ...exchange, loads, worker });

  /** What is not given is the caller's, or closed where the peer has left. */
  function give(endpoint: Endpoint, to: number, as: PassedAs): "given" | "absent" | "left" {
    const given = exchange.give(endpoint, to);
    if (given.status === "given") port.post({ type: "pass", to, passed: given.passed, as });
    return given.status;
  }

  return {
    newClient(client) {
      const to = relief();
      if (to === undefined) return false;
      const given = give(client, to, { kind: "client" });
      if (given === "left") connections.open(client).refuse("client_left");
      return given !== "absent";
    },

    dialBack(preface, dialBack) {
      const holder = tokenWorker(preface.token);
      if (holder === worker) return undefined;
      if (holder >= exchange.workers) return { status: "refused", reason: "token_unknown" };
      const given = give(dialBack, holder, { kind: "dialBack", preface });
      if (given === "given") return { status: "claimed" };
      // A worker that is not there had clients, and honest private proxies come for them.
      return { status: "refused", reason: given === "absent" ? "token_late" : "peer_reset" };
    },

    begun(connection, bytes, session) {
      // Once is enough: who is sent to and fro is never served.
      if (connection.passed) return false;
      const to = loads.pooledElsewhere(session);
      if (to === undefined || !exchange.isThere(to)) return false;
      const { client, id, source, destination, ageMs } = connection;
      client.unread(bytes);
      if (give(client, to, { kind: "begun", begun: { id, session, source, destination, ageMs } }) === "given") {
        loads.passedTo(to, session);
        connection.passOn();
      } else connection.refuse("client_left");
      return true;
    },
  };
}
