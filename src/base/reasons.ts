/**
 * The one table of reason codes. Alerts to clients, log levels, metrics labels and the documentation are made from it,
 * so a code that is not here does not exist.
 */

/** What a code is about: decides where it is counted and documented. */
export type ReasonScope = "client" | "rendezvous" | "mesh" | "offer" | "transport" | "settings" | "internal";

export interface Reason {
  readonly scope: ReasonScope;
  /** TLS alert description sent to the client before closing (RFC 8446 §6); undefined: nothing is sent. */
  readonly alert?: number;
  readonly level: "debug" | "info" | "warn" | "error";
  /** What happened, as a sentence for logs and docs. */
  readonly means: string;
}

const unexpectedMessage = 10;
const recordOverflow = 22;
const handshakeFailure = 40;
const illegalParameter = 47;
const accessDenied = 49;
const decodeError = 50;
const internalError = 80;
const unrecognizedName = 112;

export const reasons = {
  // A client connection on the public proxy that was not served.
  not_tls: { scope: "client", level: "info", means: "the first bytes are not a TLS record" },
  not_tls_http: { scope: "client", level: "info", means: "plain HTTP came where TLS is spoken" },
  not_tls_ssh: { scope: "client", level: "info", means: "an SSH banner came where TLS is spoken" },
  not_tls_rdp: { scope: "client", level: "info", means: "an RDP connection request came where TLS is spoken" },
  not_tls_proxy_header: {
    scope: "client",
    level: "info",
    means: "a PROXY protocol header came from an address that is not listed in tls.acceptProxyProtocol",
  },
  not_tls_sslv2: {
    scope: "client",
    level: "info",
    means: "an SSLv2-style ClientHello, which no TLS 1.0 or later stack needs",
  },
  not_client_hello: {
    scope: "client",
    alert: unexpectedMessage,
    level: "info",
    means: "the first TLS records do not carry a ClientHello and nothing else",
  },
  record_too_long: {
    scope: "client",
    alert: recordOverflow,
    level: "info",
    means: "a TLS record is longer than the protocol allows",
  },
  hello_malformed: { scope: "client", alert: decodeError, level: "info", means: "the ClientHello cannot be parsed" },
  hello_too_large: {
    scope: "client",
    alert: decodeError,
    level: "info",
    means: "the ClientHello is larger than tls.maxHelloBytes",
  },
  hello_contradictory: {
    scope: "client",
    alert: illegalParameter,
    level: "info",
    means: "the ClientHello holds an extension or a name twice, or fields that contradict each other",
  },
  proxy_header_invalid: {
    scope: "client",
    level: "warn",
    means: "an address in tls.acceptProxyProtocol sent no valid PROXY header",
  },
  health_check: { scope: "client", level: "debug", means: "a load balancer's health check (PROXY header with LOCAL)" },
  postgres_injection: {
    scope: "client",
    level: "warn",
    means: "bytes came behind a PostgreSQL SSLRequest before it was answered",
  },
  postgres_cancel: {
    scope: "client",
    level: "info",
    means: "a PostgreSQL CancelRequest without TLS, which says not which server it is for",
  },
  postgres_plaintext: { scope: "client", level: "info", means: "a PostgreSQL client that does not ask for TLS" },
  hello_timeout: {
    scope: "client",
    alert: handshakeFailure,
    level: "info",
    means: "the ClientHello was not complete within tls.helloTimeoutMs",
  },
  server_name_invalid: {
    scope: "client",
    alert: decodeError,
    level: "info",
    means: "the server name is not a DNS host name (an IP address, an empty label, a byte that is not allowed)",
  },
  server_name_missing: {
    scope: "client",
    alert: unrecognizedName,
    level: "info",
    means: "the client sent no server name and nobody announced `*`",
  },
  server_name_not_granted: {
    scope: "client",
    alert: unrecognizedName,
    level: "info",
    means: "no grant covers the server name",
  },
  server_name_not_announced: {
    scope: "client",
    alert: unrecognizedName,
    level: "info",
    means: "the server name is granted, but no private proxy announces it",
  },
  nobody_answered: {
    scope: "client",
    alert: internalError,
    level: "warn",
    means: "no private proxy took the connection before its deadline",
  },
  all_declined: {
    scope: "client",
    alert: internalError,
    level: "warn",
    means: "every private proxy that serves the name declined the connection",
  },
  parking_full: {
    scope: "client",
    alert: internalError,
    level: "warn",
    means: "limits.parked clients are waiting already",
  },
  connections_full: {
    scope: "client",
    alert: internalError,
    level: "warn",
    means: "limits.connections connections are open already",
  },
  client_refused: {
    scope: "client",
    alert: accessDenied,
    level: "info",
    means: "the client's address is not allowed",
  },
  client_left: { scope: "client", level: "debug", means: "the client left before its connection was served" },
  hello_crowded_out: {
    scope: "client",
    alert: handshakeFailure,
    level: "info",
    means: "the oldest unfinished ClientHello was given up for a newer one (limits.halfOpenHellos)",
  },
  stopping: { scope: "client", alert: internalError, level: "info", means: "the proxy is shutting down" },

  // A dial-back on the rendezvous port that was turned away.
  preface_malformed: { scope: "rendezvous", level: "warn", means: "the first 40 bytes are not a rendezvous preface" },
  preface_timeout: {
    scope: "rendezvous",
    level: "info",
    means: "the preface was not complete within rendezvous.prefaceTimeoutMs",
  },
  token_unknown: { scope: "rendezvous", level: "warn", means: "nobody waits for this token" },
  token_late: {
    scope: "rendezvous",
    level: "debug",
    means: "the token was valid, but its client is gone or was served",
  },
  token_misplaced: {
    scope: "rendezvous",
    level: "warn",
    means: "the token was presented for another purpose than its own",
  },
  rendezvous_rate_limited: {
    scope: "rendezvous",
    level: "warn",
    means: "too many bad prefaces or tokens came from this address lately",
  },
  rendezvous_crowded: {
    scope: "rendezvous",
    level: "warn",
    means: "too many unauthenticated dial-backs were open; the oldest was closed",
  },

  // The mesh.
  mesh_handshake_failed: { scope: "mesh", level: "warn", means: "the mutual TLS handshake on the mesh port failed" },
  mesh_handshake_timeout: { scope: "mesh", level: "warn", means: "the mesh handshake took longer than it may" },
  mesh_rate_limited: { scope: "mesh", level: "warn", means: "too many mesh handshakes from this address" },
  mesh_crowded: { scope: "mesh", level: "warn", means: "too many unfinished mesh handshakes; the oldest was closed" },
  mesh_identity_refused: {
    scope: "mesh",
    level: "warn",
    means: "the client certificate gives no usable identity, or is not a private proxy's",
  },
  mesh_protocol_violated: { scope: "mesh", level: "warn", means: "the peer broke the mesh protocol" },
  mesh_unreachable: { scope: "mesh", level: "warn", means: "the public proxy cannot be reached" },
  mesh_lost: { scope: "mesh", level: "warn", means: "the link to the public proxy was lost" },

  // An offer that a private proxy did not turn into a connection.
  target_unreachable: { scope: "offer", level: "warn", means: "the target did not accept a connection in time" },
  target_refuses_tls: {
    scope: "offer",
    level: "warn",
    means: "the target did not agree to TLS when it was asked as targets[].startTls says",
  },
  target_full: { scope: "offer", level: "warn", means: "the target is at its connection limit" },
  name_not_served: {
    scope: "offer",
    level: "warn",
    means: "the offer names an announcement or a name not served here",
  },
  shutting_down: { scope: "offer", level: "info", means: "the private proxy is shutting down" },
  endpoint_refused: {
    scope: "offer",
    level: "warn",
    means: "the public proxy names a rendezvous endpoint that the settings do not allow",
  },
  dial_back_failed: { scope: "offer", level: "warn", means: "the public proxy's rendezvous port cannot be reached" },
  header_invalid: { scope: "offer", level: "warn", means: "the PROXY header on a dial-back is malformed or not ours" },
  offer_cancelled: { scope: "offer", level: "debug", means: "the public proxy took the offer back" },
  offer_expired: { scope: "offer", level: "info", means: "the offer's time ran out before it could be answered" },
  verdict_refused: { scope: "offer", level: "warn", means: "the private proxy gave no further reason" },

  // What sockets do.
  connect_refused: { scope: "transport", level: "warn", means: "the address refused the connection" },
  connect_timeout: { scope: "transport", level: "warn", means: "the address did not answer in time" },
  connect_unreachable: { scope: "transport", level: "warn", means: "the address cannot be reached" },
  address_in_use: { scope: "transport", level: "error", means: "the address to listen on is in use" },
  address_unavailable: { scope: "transport", level: "error", means: "the address to listen on is not usable here" },
  peer_reset: { scope: "transport", level: "debug", means: "the peer reset the connection" },
  peer_ended: { scope: "transport", level: "debug", means: "the peer ended the connection early" },
  closed_here: { scope: "transport", level: "debug", means: "the connection was closed on this side" },
  descriptors_exhausted: { scope: "transport", level: "error", means: "the process is out of file descriptors" },

  settings_invalid: { scope: "settings", level: "error", means: "the settings are not valid" },
  internal: { scope: "internal", alert: internalError, level: "error", means: "a fault of this program" },
} as const satisfies Record<string, Reason>;

export type ReasonCode = keyof typeof reasons;

/** All codes in a fixed order: the index is what counters in shared memory use. */
export const reasonCodes = Object.keys(reasons) as ReasonCode[];

export function reason(code: ReasonCode): Reason {
  return reasons[code];
}
