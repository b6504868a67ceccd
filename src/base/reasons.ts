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
  /** What whoever runs the proxy does about it, as a sentence for docs. */
  readonly remedy: string;
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
  not_tls: {
    scope: "client",
    level: "info",
    means: "the first bytes are not a TLS record",
    remedy: "Nothing where strangers reach the port; a client of yours must speak TLS from its first byte on.",
  },
  not_tls_http: {
    scope: "client",
    level: "info",
    means: "plain HTTP came where TLS is spoken",
    remedy: "Point the client to `https://`; this port cannot redirect plain HTTP.",
  },
  not_tls_ssh: {
    scope: "client",
    level: "info",
    means: "an SSH banner came where TLS is spoken",
    remedy: "Point the client to another port: only TLS is routed here.",
  },
  not_tls_rdp: {
    scope: "client",
    level: "info",
    means: "an RDP connection request came where TLS is spoken",
    remedy: "Point the client to another port: RDP negotiates before it speaks TLS, and is not routed here.",
  },
  not_tls_proxy_header: {
    scope: "client",
    level: "info",
    means: "a PROXY protocol header came from an address that is not listed in tls.acceptProxyProtocol",
    remedy: "List the address in `tls.acceptProxyProtocol` where it is a load balancer of yours; otherwise nothing.",
  },
  not_tls_sslv2: {
    scope: "client",
    level: "info",
    means: "an SSLv2-style ClientHello, which no TLS 1.0 or later stack needs",
    remedy: "Update the client: only very old TLS stacks send this.",
  },
  not_client_hello: {
    scope: "client",
    alert: unexpectedMessage,
    level: "info",
    means: "the first TLS records do not carry a ClientHello and nothing else",
    remedy: "Nothing where strangers reach the port; otherwise look for a client or a middlebox that breaks TLS.",
  },
  record_too_long: {
    scope: "client",
    alert: recordOverflow,
    level: "info",
    means: "a TLS record is longer than the protocol allows",
    remedy: "Nothing where strangers reach the port; otherwise look for what damages the bytes on their way.",
  },
  hello_malformed: {
    scope: "client",
    alert: decodeError,
    level: "info",
    means: "the ClientHello cannot be parsed",
    remedy:
      "Nothing where strangers reach the port; otherwise record the client's first bytes and report them to its makers.",
  },
  hello_too_large: {
    scope: "client",
    alert: decodeError,
    level: "info",
    means: "the ClientHello is larger than tls.maxHelloBytes",
    remedy: "Raise `tls.maxHelloBytes` where it was lowered; a hello over 65536 bytes is not read in any case.",
  },
  hello_contradictory: {
    scope: "client",
    alert: illegalParameter,
    level: "info",
    means: "the ClientHello holds an extension or a name twice, or fields that contradict each other",
    remedy: "Report it to the client's makers: a name that could be read in two ways is never routed.",
  },
  proxy_header_invalid: {
    scope: "client",
    level: "warn",
    means: "an address in tls.acceptProxyProtocol sent no valid PROXY header",
    remedy:
      "Switch on the PROXY protocol (v1 or v2) in the load balancer, or take its address out of `tls.acceptProxyProtocol`.",
  },
  health_check: {
    scope: "client",
    level: "debug",
    means: "a load balancer's health check (PROXY header with LOCAL)",
    remedy: "Nothing: the load balancer asks whether this port is open.",
  },
  postgres_injection: {
    scope: "client",
    level: "warn",
    means: "bytes came behind a PostgreSQL SSLRequest before it was answered",
    remedy: "Nothing: no PostgreSQL client does this; somebody in between may have.",
  },
  postgres_cancel: {
    scope: "client",
    level: "info",
    means: "a PostgreSQL CancelRequest without TLS, which says not which server it is for",
    remedy: "Have the client cancel over TLS, as psql 17 does; until then the query runs on.",
  },
  postgres_plaintext: {
    scope: "client",
    level: "info",
    means: "a PostgreSQL client that does not ask for TLS",
    remedy: "Have the client connect with `sslmode=require` or better; it is told so.",
  },
  hello_timeout: {
    scope: "client",
    alert: handshakeFailure,
    level: "info",
    means: "the ClientHello was not complete within tls.helloTimeoutMs",
    remedy:
      "Nothing where a few clients are slow or silent; where it is many, look for packet loss or for a path that drops large segments.",
  },
  server_name_invalid: {
    scope: "client",
    alert: decodeError,
    level: "info",
    means: "the server name is not a DNS host name (an IP address, an empty label, a byte that is not allowed)",
    remedy:
      "Have the client connect by a DNS name, not by an address, in its A-label form (`xn--`) where it is international.",
  },
  server_name_missing: {
    scope: "client",
    alert: unrecognizedName,
    level: "info",
    means: "the client sent no server name and nobody announced `*`",
    remedy: "Have the client send a server name (SNI), or grant and announce `*`.",
  },
  server_name_not_granted: {
    scope: "client",
    alert: unrecognizedName,
    level: "info",
    means: "no grant covers the server name",
    remedy: "Add the name to a grant of the private proxy that should serve it, and reload.",
  },
  server_name_not_announced: {
    scope: "client",
    alert: unrecognizedName,
    level: "info",
    means: "the server name is granted, but no private proxy announces it",
    remedy:
      "Look at `proxy status` on both sides: is the private proxy attached, has it a target with this name and a fitting `alpn`, was the announcement accepted, or is its target down (`withdrawn`)?",
  },
  nobody_answered: {
    scope: "client",
    alert: internalError,
    level: "warn",
    means: "no private proxy took the connection before its deadline",
    remedy:
      "Look for the same `connection` in the private proxies' logs: most often the rendezvous port cannot be reached from there, or the target is slower than `rendezvous.attemptTimeoutMs`.",
  },
  all_declined: {
    scope: "client",
    alert: internalError,
    level: "warn",
    means: "every private proxy that serves the name declined the connection",
    remedy:
      "Look for the same `connection` in the private proxies' logs: the reason stands there, most often `target_unreachable`.",
  },
  targets_full: {
    scope: "client",
    alert: internalError,
    level: "warn",
    means: "every target that serves the name is at its limit of connections (targets[].maxConnections)",
    remedy:
      "Look for the same `connection` in the private proxies' logs: `target_queue_full` or `target_queue_timeout` says how long the client was let wait.",
  },
  private_proxies_full: {
    scope: "client",
    alert: internalError,
    level: "warn",
    means: "every private proxy that serves the name has as many connections, or unanswered offers, as it may have",
    remedy:
      "Start another private proxy for the name, or raise `limits.perPrivateProxy` where it is set; one that leaves 1024 offers unanswered is overloaded.",
  },
  parking_full: {
    scope: "client",
    alert: internalError,
    level: "warn",
    means: "limits.parked clients are waiting already",
    remedy:
      "Find out why clients wait (silent private proxies, names that are granted and not announced), then raise `limits.parked`.",
  },
  connections_full: {
    scope: "client",
    alert: internalError,
    level: "warn",
    means: "limits.connections connections are open already",
    remedy: "Raise `limits.connections`, and the process's limit of descriptors with it: each connection takes two.",
  },
  client_address_full: {
    scope: "client",
    alert: internalError,
    level: "info",
    means: "the client's address has limits.perClientAddress connections open already",
    remedy:
      "Nothing where one client opens too many; raise `limits.perClientAddress` where many share an address (behind address translation, say). Where all clients seem to have the address of a load balancer, see `tls.acceptProxyProtocol`.",
  },
  name_full: {
    scope: "client",
    alert: internalError,
    level: "warn",
    means: "limits.perName connections for this server name are open already",
    remedy: "Find out whether its clients leave connections open, then raise `limits.perName`.",
  },
  client_refused: {
    scope: "client",
    alert: accessDenied,
    level: "info",
    means: "the client's address is not allowed",
    remedy: "Nothing: this version has no rules for client addresses and never gives this reason.",
  },
  client_left: {
    scope: "client",
    level: "debug",
    means: "the client left before its connection was served",
    remedy: "Nothing for a few; where it is many, clients lose patience: look at `ms` and at what they wait for.",
  },
  hello_crowded_out: {
    scope: "client",
    alert: handshakeFailure,
    level: "info",
    means: "the oldest unfinished ClientHello was given up for a newer one (limits.halfOpenHellos)",
    remedy: "Under a flood nothing; with honest clients only, raise `limits.halfOpenHellos` and restart.",
  },
  stopping: {
    scope: "client",
    alert: internalError,
    level: "info",
    means: "the proxy is shutting down",
    remedy: "Nothing: the client may try again; raise `shutdown.graceMs` where clients should get longer.",
  },

  // A dial-back on the rendezvous port that was turned away.
  preface_malformed: {
    scope: "rendezvous",
    level: "warn",
    means: "the first 40 bytes are not a rendezvous preface",
    remedy:
      "Let only the private proxies' addresses reach the rendezvous port; if it comes from one, look for what changes the bytes in between.",
  },
  preface_timeout: {
    scope: "rendezvous",
    level: "info",
    means: "the preface was not complete within rendezvous.prefaceTimeoutMs",
    remedy:
      "Let only the private proxies' addresses reach the rendezvous port; if it comes from one, look for packet loss.",
  },
  token_unknown: {
    scope: "rendezvous",
    level: "warn",
    means: "nobody waits for this token",
    remedy:
      "Where a private proxy sends it, `rendezvous.advertise` leads to another public proxy than the one that made the offer (a load balancer in between, say); otherwise somebody is guessing.",
  },
  token_late: {
    scope: "rendezvous",
    level: "debug",
    means: "the token was valid, but its client is gone or was served",
    remedy: "Nothing for a few; where it is many, dial-backs take longer than `rendezvous.attemptTimeoutMs`.",
  },
  token_misplaced: {
    scope: "rendezvous",
    level: "warn",
    means: "the token was presented for another purpose than its own",
    remedy: "Find out who sits at the address: no private proxy of this version does this.",
  },
  rendezvous_rate_limited: {
    scope: "rendezvous",
    level: "warn",
    means: "too many bad prefaces or tokens came from this address lately",
    remedy: "Look for what came from the address before; one from which a private proxy is attached is never limited.",
  },
  rendezvous_crowded: {
    scope: "rendezvous",
    level: "warn",
    means: "too many unauthenticated dial-backs were open; the oldest was closed",
    remedy: "Let only the private proxies' addresses reach the rendezvous port.",
  },

  // The mesh.
  mesh_handshake_failed: {
    scope: "mesh",
    level: "warn",
    means: "the mutual TLS handshake on the mesh port failed",
    remedy:
      "See `detail`: the certificate is missing, expired or from another CA than `mesh.ca`, or the peer speaks no TLS 1.3 or no HTTP/2.",
  },
  mesh_handshake_timeout: {
    scope: "mesh",
    level: "warn",
    means: "the mesh handshake took longer than it may",
    remedy: "Let only the private proxies' addresses reach the mesh port; if it comes from one, look for packet loss.",
  },
  mesh_rate_limited: {
    scope: "mesh",
    level: "warn",
    means: "too many mesh handshakes from this address",
    remedy:
      "Let only the private proxies' addresses reach the mesh port; if it comes from one, find out why it connects so often.",
  },
  mesh_crowded: {
    scope: "mesh",
    level: "warn",
    means: "too many unfinished mesh handshakes; the oldest was closed",
    remedy: "Let only the private proxies' addresses reach the mesh port.",
  },
  mesh_identity_refused: {
    scope: "mesh",
    level: "warn",
    means: "the client certificate gives no usable identity, or is not a private proxy's",
    remedy: "See `detail`, and issue the certificate anew, as `proxy certs issue --role private` does.",
  },
  mesh_protocol_violated: {
    scope: "mesh",
    level: "warn",
    means: "the peer broke the mesh protocol",
    remedy: "Run versions that understand each other on both sides; see `detail`.",
  },
  mesh_unreachable: {
    scope: "mesh",
    level: "warn",
    means: "the public proxy cannot be reached",
    remedy:
      "See `why`: the name, the port or a firewall; or a public proxy's certificate that does not lead to `mesh.ca` or does not bear the host in `mesh.publics` (`mesh.serverName`).",
  },
  mesh_lost: {
    scope: "mesh",
    level: "warn",
    means: "the link to the public proxy was lost",
    remedy:
      "Nothing where it comes back, which it does by itself; where it is often, look at the network between the two.",
  },

  // An offer that a private proxy did not turn into a connection.
  target_unreachable: {
    scope: "offer",
    level: "warn",
    means: "the target did not accept a connection in time, or is down as its health checks say",
    remedy: "See `detail`: start the internal server, or correct `targets[].address` or `addresses`.",
  },
  target_refuses_tls: {
    scope: "offer",
    level: "warn",
    means: "the target did not agree to TLS when it was asked as targets[].startTls says",
    remedy: "See `detail`: switch TLS on in the PostgreSQL server (`ssl = on`), or correct `targets[].startTls`.",
  },
  target_full: {
    scope: "offer",
    level: "warn",
    means: "the target is at its connection limit",
    remedy:
      "Look into the private proxy's log, where it is `target_queue_full` or `target_queue_timeout`; this one travels between the proxies.",
  },
  target_queue_full: {
    scope: "offer",
    level: "warn",
    means: "the target has targets[].maxConnections connections, and targets[].queue.max clients wait for it already",
    remedy:
      "Raise `targets[].maxConnections` where the internal server can take more; otherwise have a second one serve the name, or let more clients wait (`targets[].queue.max`).",
  },
  target_queue_timeout: {
    scope: "offer",
    level: "warn",
    means: "the target had no place for the client within targets[].queue.timeoutMs",
    remedy:
      "Raise `targets[].maxConnections` where the internal server can take more; otherwise have a second one serve the name, or let clients wait longer (`targets[].queue.timeoutMs`, and `rendezvous.deadlineMs` on the public proxy).",
  },
  name_not_served: {
    scope: "offer",
    level: "warn",
    means: "the offer names an announcement or a name not served here",
    remedy:
      "Nothing right after a reload; otherwise look at `targets` and at who runs the public proxy that offers such names.",
  },
  shutting_down: {
    scope: "offer",
    level: "info",
    means: "the private proxy is shutting down",
    remedy: "Nothing: the public proxy turns to another private proxy where there is one.",
  },
  endpoint_refused: {
    scope: "offer",
    level: "warn",
    means: "the public proxy names a rendezvous endpoint that the settings do not allow",
    remedy:
      "Where the endpoint is right and its name can be looked up, list it in `mesh.rendezvous`; otherwise correct `rendezvous.advertise` on the public proxy.",
  },
  dial_back_failed: {
    scope: "offer",
    level: "warn",
    means: "the public proxy's rendezvous port cannot be reached",
    remedy:
      "Open the way from here to the public proxy's rendezvous port, or correct `rendezvous.advertise` there; see `detail`.",
  },
  header_invalid: {
    scope: "offer",
    level: "warn",
    means: "the PROXY header on a dial-back is malformed or not ours",
    remedy:
      "Run versions that understand each other on both sides; otherwise look for what changes the bytes in between.",
  },
  offer_cancelled: {
    scope: "offer",
    level: "debug",
    means: "the public proxy took the offer back",
    remedy: "Nothing: the client has left, or another private proxy serves it.",
  },
  offer_expired: {
    scope: "offer",
    level: "info",
    means: "the offer's time ran out before it could be answered",
    remedy:
      "Look for what is slow here, the target or the way to the public proxy; the time is `rendezvous.attemptTimeoutMs` there.",
  },
  verdict_refused: {
    scope: "offer",
    level: "warn",
    means: "the private proxy gave no further reason",
    remedy:
      "Look into the private proxy's log. Where its line says that a thread is being replaced, look for why that one ended.",
  },
  offers_crowded: {
    scope: "offer",
    level: "warn",
    means: "the public proxy made more offers at once than any honest one does",
    remedy: "Find out what became of that public proxy; take it out of mesh.publics if nobody can say.",
  },

  // What sockets do.
  connect_refused: {
    scope: "transport",
    level: "warn",
    means: "the address refused the connection",
    remedy: "Start what should listen there, or correct the address.",
  },
  connect_timeout: {
    scope: "transport",
    level: "warn",
    means: "the address did not answer in time",
    remedy: "Look for a firewall that drops packets, or for a host that is down.",
  },
  connect_unreachable: {
    scope: "transport",
    level: "warn",
    means: "the address cannot be reached",
    remedy: "Look at routes and at the address.",
  },
  address_in_use: {
    scope: "transport",
    level: "error",
    means: "the address to listen on is in use",
    remedy: "Stop what listens there (`ss -ltnp` shows it), or choose another address.",
  },
  address_unavailable: {
    scope: "transport",
    level: "error",
    means: "the address to listen on is not usable here",
    remedy: "Choose an address of this machine and a port that this user may open.",
  },
  peer_reset: {
    scope: "transport",
    level: "debug",
    means: "the peer reset the connection",
    remedy: "Nothing: on the rendezvous port most often a scanner.",
  },
  peer_ended: {
    scope: "transport",
    level: "debug",
    means: "the peer ended the connection early",
    remedy: "Nothing: on the rendezvous port most often a scanner or a load balancer's health check.",
  },
  closed_here: {
    scope: "transport",
    level: "debug",
    means: "the connection was closed on this side",
    remedy: "Nothing: this is how connections look that end with the proxy.",
  },
  engine_unavailable: {
    scope: "transport",
    level: "error",
    means: "the transport engine that the settings ask for does not work on this system",
    remedy:
      "Set `transport.engine` to `auto` or `node`, or install what is missing: the epoll engine needs Linux on x64 or arm64, and koffi.",
  },
  descriptors_exhausted: {
    scope: "transport",
    level: "error",
    means: "the process is out of file descriptors, or the system has no memory for sockets",
    remedy:
      "Raise the process's limit of descriptors (`ulimit -n`, LimitNOFILE), or lower `limits.connections`; where it says ENFILE the system's (`fs.file-max`), with ENOMEM or ENOBUFS the memory (`net.ipv4.tcp_mem`).",
  },

  settings_invalid: {
    scope: "settings",
    level: "error",
    means: "the settings are not valid",
    remedy: "`proxy settings check` lists every problem with its place; certificate, key and CA must fit together.",
  },
  internal: {
    scope: "internal",
    alert: internalError,
    level: "error",
    means: "a fault of this program",
    remedy: "Report it with the line that has `fault`: it holds where in the program it happened.",
  },
} as const satisfies Record<string, Reason>;

export type ReasonCode = keyof typeof reasons;

/** All codes in a fixed order: the index is what counters in shared memory use. */
export const reasonCodes = Object.keys(reasons) as ReasonCode[];

export function reason(code: ReasonCode): Reason {
  return reasons[code];
}
