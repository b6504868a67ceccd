import type { Deadline } from "../base/deadline.js";
import { ProxyError } from "../base/errors.js";
import type { ProxyHeader } from "../rendezvous/proxy-header.js";
import { decodeProxyHeader } from "../rendezvous/proxy-protocol.js";
import type { Endpoint } from "../transport/endpoint.js";

/** What a public proxy says of a client before all else. */
export interface RendezvousHeader {
  readonly header: ProxyHeader;
  /** All that was read: the header, and what came with it. */
  readonly bytes: Uint8Array;
  /** How much of that is the header. */
  readonly length: number;
}

/**
 * Reads the PROXY header (v2, design of the rendezvous) from a dial-back, which stays the caller's. Throws `header_invalid`,
 * `offer_cancelled` where the dial-back ends first, the deadline's code, or what reading throws.
 */
export async function readRendezvousHeader(dialBack: Endpoint, deadline: Deadline): Promise<RendezvousHeader> {
  let bytes: Uint8Array = new Uint8Array(0);
  for (;;) {
    const chunk = await dialBack.read(deadline);
    // The public proxy closes a dial-back whose token is dead: somebody else serves the client, or it has left.
    if (chunk === undefined) throw new ProxyError("offer_cancelled");
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const decoded = decodeProxyHeader(bytes);
    if (decoded.status === "malformed") throw new ProxyError("header_invalid", decoded.problem);
    if (decoded.status === "header") return { header: decoded.header, bytes, length: decoded.length };
  }
}
