import type { Socket } from "node:net";
import { encodePreface } from "../../src/rendezvous/preface.js";
import { tcpClient } from "./clients.js";
import type { RunningPublic } from "./pair.js";
import { until } from "./until.js";

/** A dial-back that a test has parked by hand. */
export interface ParkedByHand {
  readonly socket: Socket;
  readonly token: Uint8Array;
  /** Resolves with what came first: header and hello of a client. */
  readonly given: Promise<Buffer>;
}

/** Parks one dial-back for each token, and resolves when the public proxy counts them all. */
export async function parkByHand(running: RunningPublic, tokens: readonly Uint8Array[]): Promise<ParkedByHand[]> {
  const before = running.proxy.status().pooledDialBacks;
  const parked: ParkedByHand[] = [];
  for (const token of tokens) {
    const socket = await tcpClient(running.rendezvousPort);
    const given = new Promise<Buffer>((resolve) => socket.once("data", resolve));
    socket.write(encodePreface({ kind: "park", token }));
    parked.push({ socket, token, given });
  }
  const counted = () => running.proxy.status().pooledDialBacks;
  await until(() => counted() === before + tokens.length, counted);
  return parked;
}
