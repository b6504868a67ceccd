import type { Transport } from "../transport.js";
import { alarm } from "./alarm.js";
import { connect } from "./connect.js";
import { listen } from "./listen.js";
import { splice } from "./splice.js";

/** The portable engine, over the sockets of Node. It keeps no state of its own. */
export function createNodeTransport(): Transport {
  return { engine: "node", listen, connect, splice, alarm };
}
