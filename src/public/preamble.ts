import { addressSet } from "../base/address-set.js";
import type { Deadline } from "../base/deadline.js";
import { ProxyError } from "../base/errors.js";
import { decodeProxyHeader } from "../rendezvous/proxy-protocol.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { LiveConnection } from "./live-connections.js";
import type { PublicDataPlaneConfig } from "./messages.js";

/** What may stand before a ClientHello, as the settings allow it. */
export interface PreambleRules {
  /** Whether this address is a load balancer of ours, which always sends a PROXY header. */
  sendsProxyHeader(ip: string): boolean;
  /** Whether PostgreSQL clients, which ask for TLS before they speak it, are served. */
  readonly postgres: boolean;
}

export function preambleRules({ acceptProxyProtocol, postgres }: PublicDataPlaneConfig): PreambleRules {
  const balancers = acceptProxyProtocol.length === 0 ? undefined : addressSet(acceptProxyProtocol);
  return { sendsProxyHeader: (ip) => balancers?.has(ip) === true, postgres };
}

/**
 * Reads what stands before the ClientHello: the PROXY header of a load balancer, from which the client's address is taken,
 * then PostgreSQL's request for TLS, which is answered. The hello stays unread. Undefined where nothing may stand there,
 * as with most clients. Throws `proxy_header_invalid`, `health_check`, a `postgres_...` code, `client_left`, or the
 * deadline's code.
 */
export function readPreamble(
  connection: LiveConnection,
  deadline: Deadline,
  rules: PreambleRules,
): Promise<void> | undefined {
  const { remote } = connection.client;
  const balanced = remote.family !== "unix" && rules.sendsProxyHeader(remote.address);
  if (balanced) return readProxyHeader(connection, deadline, rules.postgres);
  return rules.postgres ? answerPostgres(connection.client, deadline) : undefined;
}

/** PROXY protocol, versions 1 and 2. The header is required: without it the client's address would be the balancer's. */
async function readProxyHeader(connection: LiveConnection, deadline: Deadline, postgres: boolean): Promise<void> {
  const { client } = connection;
  let bytes = await nextBytes(client, deadline);
  for (;;) {
    const decoded = decodeProxyHeader(bytes);
    if (decoded.status === "malformed") throw new ProxyError("proxy_header_invalid", decoded.problem);
    if (decoded.status === "header") {
      if (decoded.length < bytes.length) client.unread(bytes.subarray(decoded.length));
      const { command, source, destination } = decoded.header;
      if (command === "local") throw new ProxyError("health_check");
      // A header without addresses (`UNKNOWN`, a unix socket) says that the balancer knows none either.
      if (source !== undefined && destination !== undefined) connection.cameFrom(source, destination);
      return postgres ? answerPostgres(client, deadline) : undefined;
    }
    bytes = Buffer.concat([bytes, await nextBytes(client, deadline)]);
  }
}

// PostgreSQL frontend/backend protocol, "SSL Session Encryption" and "Message Formats": a length, then a code.
const requestBytes = 8;
const sslRequest = 80877103;
const gssEncRequest = 80877104;
const cancelRequest = 80877102;
const startupVersion3 = 3;

/**
 * PostgreSQL: SSLRequest gets `S`, GSSENCRequest gets `N` and may be followed by an SSLRequest. A client that speaks TLS
 * at once is let through. Bytes behind a request, sent before our answer, would be taken for part of the encrypted
 * conversation by whoever reads on (CVE-2021-23214): they end the connection.
 */
async function answerPostgres(client: Endpoint, deadline: Deadline): Promise<void> {
  let gssRefused = false;
  for (;;) {
    let bytes = await nextBytes(client, deadline);
    // A TLS record starts with its type, 22; every request of PostgreSQL with a length below 16 MiB, that is with 0.
    if (bytes[0] !== 0) return client.unread(bytes);
    while (bytes.length < requestBytes) bytes = Buffer.concat([bytes, await nextBytes(client, deadline)]);
    const code = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUInt32BE(4);
    if (code === cancelRequest) throw new ProxyError("postgres_cancel");
    if (code >>> 16 === startupVersion3) throw new ProxyError("postgres_plaintext");
    const isGss = code === gssEncRequest && !gssRefused;
    if (!isGss && code !== sslRequest) throw new ProxyError("not_tls");
    if (bytes.length > requestBytes) throw new ProxyError("postgres_injection");
    client.write(Buffer.from(isGss ? "N" : "S"));
    if (!isGss) return;
    gssRefused = true;
  }
}

async function nextBytes(client: Endpoint, deadline: Deadline): Promise<Uint8Array> {
  const bytes = await client.read(deadline);
  if (bytes === undefined) throw new ProxyError("client_left");
  return bytes;
}
