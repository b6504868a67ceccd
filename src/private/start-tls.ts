import type { Deadline } from "../base/deadline.js";
import { ProxyError } from "../base/errors.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { Target } from "./targets.js";

/** PostgreSQL's SSLRequest: length 8, code 80877103. Frontend/backend protocol, "Message Formats". */
export const sslRequest = Uint8Array.of(0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f);
export const agreed = 0x53; // "S"

/**
 * Asks a target for TLS in its own way, where its settings say so, before it is given a client: the public proxy has
 * answered the client's request already. Throws `target_refuses_tls`, the deadline's code, or what reading throws. The
 * endpoint stays the caller's.
 */
export async function startTls(endpoint: Endpoint, target: Target, deadline: Deadline): Promise<void> {
  if (target.startTls === "none") return;
  endpoint.write(sslRequest);
  const answer = await endpoint.read(deadline);
  if (answer === undefined)
    throw new ProxyError("target_refuses_tls", `target ${target.address} closed the connection`);
  // Anything behind the one byte was not sent in answer to a ClientHello, and would be taken for TLS by the client.
  if (answer.length > 1) throw new ProxyError("target_refuses_tls", `target ${target.address} said more than one byte`);
  if (answer[0] !== agreed) throw new ProxyError("target_refuses_tls", `target ${target.address} did not answer S`);
}
