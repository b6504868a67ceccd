import { integer, list, milliseconds, oneOf } from "./kinds.js";
import {
  allowedEndpoint,
  alpnName,
  optionalServerName,
  peerAddress,
  serverNamePattern,
  tcpPeerAddress,
} from "./network-kinds.js";
import { socketPath } from "./path-kinds.js";
import { mapList, nestedMap, optional, optionalMap, required, type Schema, setting } from "./schema.js";
import { both, keepalive, meshCertificates, name } from "./shared-schema.js";
import { checkTargets } from "./target-checks.js";

const mostPooled = 65_536;

/** The settings of a private proxy. */
export const privateSchema = {
  name,
  mesh: {
    publics: required(
      list(tcpPeerAddress, 1),
      "The mesh addresses of all public proxies. A host name may stand for several of them: each of its addresses is attached to, and it is looked up again every 10 s and after a loss.",
    ),
    serverName: setting(
      optionalServerName,
      "",
      "The name that the public proxy's certificate must bear. Empty: the host that is dialled, as it should be wherever certificates are in order.",
    ),
    ...meshCertificates,
    rendezvous: setting(
      list(allowedEndpoint),
      [],
      "Further hosts or networks (CIDR), with or without a port, that a public proxy may name for a dial-back. Empty: only the mesh host, so that a public proxy cannot make this one connect into its own network.",
    ),
    reconnect: {
      minMs: setting(
        milliseconds(1),
        100,
        "The shortest pause before a lost public proxy is dialled again. 100 ms, so that a restart is hardly noticed.",
      ),
      maxMs: setting(
        milliseconds(1),
        2000,
        "The longest such pause; the real one is random between the two, so that many private proxies do not return at one instant. 2 s keep an outage short once the public proxy is back.",
      ),
    },
    keepalive,
  },
  targets: mapList(
    {
      names: required(
        list(serverNamePattern, 1),
        "The names it serves: `a.example.com`, `*.example.com` (one label), `**.example.com` (one or more) or `*`.",
      ),
      alpn: setting(
        list(alpnName),
        [],
        "Serves only clients that offer one of these protocols, such as `h2` or `acme-tls/1`. Empty: all.",
      ),
      address: optional(peerAddress, "The internal server, where it has one address."),
      addresses: setting(
        list(peerAddress),
        [],
        "The same where it has several, besides `address`: its clients are shared out among them, and where one cannot be reached the next is tried. Empty, because most servers have one.",
      ),
      balance: setting(
        oneOf("least-connections", "round-robin", "random-two", "source-ip"),
        "least-connections",
        "Which of several addresses is tried first: the one with the fewest connections; each in turn; the less busy of two drawn at random; or always the same for a client's address, which keeps a client with the server that knows its TLS session. Fewest connections, because TLS connections last and differ, and only what is still open says where there is room.",
      ),
      weight: setting(
        integer(1, 1000),
        1,
        "How many clients this private proxy gets beside others that serve the same names: twice the weight, twice the clients. 1, so that all get as many where nobody says anything.",
      ),
      priority: setting(
        integer(0, 1000),
        0,
        "Clients go to the lowest number that can take them; a higher one is a reserve. 0, so that nobody is one unasked.",
      ),
      healthCheck: optionalMap(
        {
          type: setting(
            oneOf("tcp", "tls"),
            "tcp",
            "`tcp` connects and closes; `tls` makes a whole TLS handshake, which also notices a server that accepts and then says nothing. `tcp`, because it costs the internal server next to nothing and leaves no line in its log.",
          ),
          intervalMs: setting(
            milliseconds(1),
            5000,
            "From the beginning of one check to that of the next. With 5 s and `fall` 3 a server that is down is noticed within 15 s, for a connection every 5 s.",
          ),
          timeoutMs: setting(
            milliseconds(1),
            2000,
            "How long a check may take. The server is near: one that needs 2 s for a handshake is of no use to a client that is given up after 3 s (`rendezvous.attemptTimeoutMs`).",
          ),
          rise: setting(
            integer(1, 100),
            2,
            "After how many good checks in a row an address that was down is up again. 2, because a server that has just begun to accept may be about to fall again.",
          ),
          fall: setting(
            integer(1, 100),
            3,
            "After how many failed checks in a row an address is down. 3, because a lost packet or a restart that is over at once is no outage: until then clients are served by the other addresses, or the other private proxies, one attempt later.",
          ),
        },
        "Asks each address by itself whether it is there. Addresses that are down get no new clients; where all are, the target's names are withdrawn until one is back ([health checks](health-checks.md)). Without it a target counts as up, and each client finds out by itself.",
      ),
      proxyProtocol: setting(
        oneOf("none", "v1", "v2"),
        "none",
        "The PROXY protocol header that tells the internal server the client's address. None, because a server that does not expect it fails.",
      ),
      startTls: setting(
        oneOf("none", "postgres"),
        "none",
        "How the internal server is asked for TLS before the client's hello is passed on. `postgres` where the public proxy has `tls.postgres`, which has answered the client's own request already; none, because other servers speak TLS at once.",
      ),
      connectTimeoutMs: setting(
        milliseconds(1),
        3000,
        "How long connecting to the internal server may take. It is near, and the public proxy turns to another private proxy after as long (`rendezvous.attemptTimeoutMs`).",
      ),
      maxConnections: optional(
        integer(1, 1_000_000),
        "How many connections the internal server is given at once, over all its addresses; clients beyond it queue. Without it there is no cap, for most servers refuse by themselves what they cannot take.",
      ),
      queue: nestedMap(
        {
          max: setting(
            integer(0, 65_535),
            1024,
            "How many clients may wait for a place at a target with `maxConnections`; one more is declined at once, and 0 has nobody wait. 1024 is more than a server with few connections gets through before they give up, and each costs one socket here and two on the public proxy.",
          ),
          timeoutMs: setting(
            milliseconds(1),
            5000,
            "How long a client may wait there before it is declined. 5 s, and connecting within `connectTimeoutMs`, are over before the public proxy gives the client up (`rendezvous.deadlineMs`, 10 s).",
          ),
        },
        "The queue before a target with `maxConnections`, first in, first out.",
      ),
    },
    "Which names this proxy serves, and where their internal servers are.",
    checkTargets,
  ),
  pool: {
    minIdle: setting(
      integer(0, mostPooled),
      0,
      "How many dial-backs stay parked at each public proxy however quiet it is, so that a client's first byte waits for no connection to be made. 0: a service that nobody uses holds nothing open; 1 or 2 make the first client after a pause as fast as the others.",
    ),
    maxIdle: setting(
      integer(0, mostPooled),
      8,
      "How many are parked at each public proxy at most. Between the two the pool follows demand: it grows when clients find none, and shrinks while some stay unused; 0 turns it off. 8 serve some 80 new clients a second over a link with 50 ms round trip; further ones are offered, and wait for a dial-back as all did without a pool.",
    ),
    max: setting(
      integer(0, mostPooled),
      64,
      "How many may be parked or on their way at all public proxies together. 64, for eight public proxies with 8 each.",
    ),
    maxAgeMs: setting(
      milliseconds(0),
      300_000,
      "How old a parked dial-back grows before it is replaced; 0 for however old. 5 minutes, because firewalls and NATs on the way forget connections, some of them without a word.",
    ),
  },
  admin: {
    socket: optional(
      socketPath,
      "A unix socket, with mode 0600, where health, metrics, status and commands are served over HTTP. There is no `admin.listen`: a private proxy opens no TCP port.",
    ),
  },
  ...both,
} satisfies Schema;

/** What somebody may well write in a private proxy's settings, and why it is refused. */
export const privateRefusals: Readonly<Record<string, string>> = {
  "admin.listen": "a private proxy opens no TCP port, use admin.socket instead",
  "admin.token": "a private proxy needs no token, admin.socket is guarded by its file mode",
};
