import { flag, integer, list, milliseconds, oneOrList, secret } from "./kinds.js";
import {
  adminAddress,
  advertisedEndpoint,
  identityPattern,
  listenAddress,
  networkOrAddress,
  serverNamePattern,
} from "./network-kinds.js";
import { socketPath } from "./path-kinds.js";
import { mapList, optional, required, type Schema, secretSetting, setting } from "./schema.js";
import { balanceMethod, both, keepalive, meshCertificates, name } from "./shared-schema.js";

const mostConnections = 10_000_000;

/** The settings of a public proxy. */
export const publicSchema = {
  name,
  tls: {
    listen: required(oneOrList(listenAddress), "Where clients connect."),
    helloTimeoutMs: setting(
      milliseconds(1),
      10_000,
      "How long a client may take to send its whole ClientHello. 10 s is ample on the worst of links; more would only serve those who hold connections open to exhaust them.",
    ),
    maxHelloBytes: setting(
      integer(512, 65_536),
      65_536,
      "The largest ClientHello that is read. Post-quantum hellos have about 2 KB; 64 KiB leaves room for every extension in use.",
    ),
    acceptProxyProtocol: setting(
      list(networkOrAddress),
      [],
      "Addresses and networks of load balancers that send a PROXY protocol header (v1 or v2), from which the client's address is taken. From them the header is required, from all others it is refused; none by default, because whoever may send it can claim any address.",
    ),
    postgres: setting(
      flag,
      false,
      "Whether PostgreSQL's request for TLS (SSLRequest) is answered, so that its clients are routed by server name too; targets then need `startTls: postgres`. Off, because no other protocol needs it.",
    ),
  },
  rendezvous: {
    listen: required(oneOrList(listenAddress), "Where private proxies dial back to fetch a client."),
    advertise: setting(
      list(advertisedEndpoint),
      [],
      "What private proxies are told to dial, where that is not what `rendezvous.listen` says (behind address translation, say). Empty: the ports of `rendezvous.listen`, on the host they dialled for the mesh.",
    ),
    prefaceTimeoutMs: setting(
      milliseconds(1),
      5000,
      "How long a dial-back may take to send its 40 bytes. An honest one sends them at once; 5 s forgives a lost packet or two.",
    ),
    attemptTimeoutMs: setting(
      milliseconds(1),
      3000,
      "How long one private proxy may take before the client is offered to the next. 3 s is a TCP handshake with one retransmission, twice.",
    ),
    deadlineMs: setting(
      milliseconds(1),
      10_000,
      "How long all attempts for a client may take together. After 10 s most clients give up by themselves.",
    ),
    pooledWaitMs: setting(
      milliseconds(0),
      0,
      "How long a client whose private proxy has no dial-back parked at the moment waits for the next one, first come first served, before it is offered; 0 offers it at once. 0, because an offer takes no longer than parking does; a few milliseconds save work where clients come in bursts over a fast network.",
    ),
    startupHoldMs: setting(
      milliseconds(0),
      3000,
      "How long a client waits for a name that is granted but not announced, after a start or after the name's last private proxy left; 0 refuses it at once. 3 s cover a reconnect with the default backoff, so that a restart fails no client.",
    ),
  },
  mesh: {
    listen: required(oneOrList(listenAddress), "Where private proxies attach to the mesh, with mutual TLS."),
    ...meshCertificates,
    keepalive,
  },
  grants: mapList(
    {
      identity: required(
        identityPattern,
        "Whose grant this is: `dns:NAME` or `uri:URI` as in the private proxy's certificate; a bare NAME means `dns:`.",
      ),
      names: required(
        list(serverNamePattern, 1),
        "The names it may announce: `a.example.com`, `*.example.com` (one label), `**.example.com` (one or more) or `*`.",
      ),
      shared: setting(
        flag,
        false,
        "Whether it may announce a name that another identity holds. Off, because whoever holds a name can obtain certificates for it.",
      ),
      balance: setting(
        balanceMethod,
        "least-connections",
        "How clients of these names are dealt out among several private proxies: to the one with the fewest connections for its weight, in turn, to the less busy of two drawn at random, or always the same one for a client's address (`source-ip`: IPv6 by /64), which keeps clients with the server that knows their TLS sessions. Of the grants that cover a name the one with the most specific pattern decides. Fewest connections by default: connections may last from milliseconds to days, and only counting them keeps long ones from piling up.",
      ),
    },
    "Which private proxy may announce which names. Empty by default: what is not granted is refused.",
  ),
  limits: {
    connections: setting(
      integer(1, mostConnections),
      10_000,
      "How many client connections may be open at once. Each takes two descriptors, so 10000 stay well below the hard limit of 524288 that systemd gives, in some 150 MB with the portable engine.",
    ),
    perClientAddress: optional(
      integer(1, mostConnections),
      "How many of them one client address may have; an IPv6 address counts with its whole /64. Those beyond it are refused (`client_address_full`). No limit by default, because a whole office, or a mobile network, may share one address.",
    ),
    perName: optional(
      integer(1, mostConnections),
      "How many of them may be for one server name, as clients send it; all clients without a name count as one. Those beyond it are refused (`name_full`). No limit by default, because how much a server bears is best said where it stands.",
    ),
    perPrivateProxy: optional(
      integer(1, mostConnections),
      "How many of them one private proxy process may have, those that are offered to it included; clients go to another one that serves the name, or are refused (`private_proxies_full`). No limit by default, because a private proxy bears what a public one does.",
    ),
    parked: setting(
      integer(1, mostConnections),
      10_000,
      "How many of them may wait for a private proxy at once. The same by default: after an outage all clients come back together, and waiting is cheap.",
    ),
    pooledPerPrivateProxy: setting(
      integer(0, mostConnections),
      256,
      "How many dial-backs one private proxy may keep parked here, whatever it asks for (`pool` in its settings); 0 for none. Each takes a descriptor; 256 are four times what a private proxy asks for by default.",
    ),
    halfOpenHellos: setting(
      integer(1, mostConnections),
      4096,
      "How many clients may be in the middle of their ClientHello at once; beyond it the oldest is given up. 4096 unfinished hellos of 64 KiB fill 256 MiB at worst, and an honest client is done in one round trip.",
    ),
  },
  admin: {
    listen: optional(
      oneOrList(adminAddress),
      "Where health, metrics and status are served over HTTP. Best on loopback, where reading them needs no token; anywhere else `admin.token` must be set, and everything needs it.",
    ),
    socket: optional(
      socketPath,
      "A unix socket for the same, with mode 0600. Over it commands need no token, for only this user can open it.",
    ),
    token: secretSetting(
      secret,
      "What commands over `admin.listen` must present. Without it nothing can be changed there. Best 32 random bytes, and from the environment rather than from a file.",
    ),
  },
  ...both,
} satisfies Schema;
