import { type GivenListener, givenListeners } from "../inherited.js";
import type { Transport } from "../transport.js";
import { alarm } from "./alarm.js";
import { connect } from "./connect.js";
import { listen } from "./listen.js";
import { splice } from "./splice.js";

/** The portable engine, over the sockets of Node. `listen` takes `listening` over, which are its own from then on. */
export function createNodeTransport(listening: readonly GivenListener[] = []): Transport {
  const given = givenListeners(listening);
  return {
    engine: "node",
    listen: (options) => listen(options, given.take(options.address)?.descriptor),
    connect,
    splice,
    alarm,
  };
}
