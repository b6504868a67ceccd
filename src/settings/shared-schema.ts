import { flag, integer, milliseconds, oneOf, text } from "./kinds.js";
import { path, readableFile, stateDirectory } from "./path-kinds.js";
import { optional, required, type Schema, setting } from "./schema.js";

/** What the settings of both roles have in common. */

export const name = required(
  text(1, 64),
  "What this proxy is called in logs, in the status and on the mesh. It is for people: who a private proxy is, its certificate says.",
);

export const meshCertificates = {
  certificate: required(
    readableFile,
    "The PEM file with this proxy's certificate for the mesh, followed by its intermediates.",
  ),
  key: required(readableFile, "The PEM file with the certificate's private key."),
  ca: required(readableFile, "The PEM file with the certificates that the other role's certificates must lead to."),
} satisfies Schema;

export const balanceMethod = oneOf("least-connections", "round-robin", "random-two", "source-ip");

export const keepalive = {
  intervalMs: setting(
    milliseconds(1),
    5000,
    "How often the other end of a mesh stream is asked whether it is there. With 5 s a silent loss shows within 10 s, for a few bytes.",
  ),
  timeoutMs: setting(
    milliseconds(1),
    5000,
    "How long the answer may take before the stream counts as lost. 5 s outlasts the retransmissions of a bad link.",
  ),
} satisfies Schema;

export const both = {
  splice: {
    idleTimeoutMs: setting(
      milliseconds(1),
      3_600_000,
      "A connection without a byte in either direction for so long is closed. An hour, because idle WebSockets and database pools are in order, while a peer that vanished must not hold its sockets for ever.",
    ),
    halfClosedTimeoutMs: setting(
      milliseconds(1),
      60_000,
      "The same once one direction has ended. A minute, because what then remains is the end of an answer.",
    ),
  },
  shutdown: {
    graceMs: setting(
      milliseconds(0),
      30_000,
      "How long connections may go on after SIGTERM before they are cut; 0 cuts them at once. 30 s is what process supervisors commonly grant.",
    ),
  },
  transport: {
    engine: setting(
      oneOf("auto", "epoll", "node"),
      "auto",
      "What moves the bytes. `auto` takes the fastest engine that works on this system, and the log says which and why; `epoll` is the one of Linux, and the proxy does not start where it does not work; `node` is the portable one.",
    ),
    workers: setting(
      integer(0, 256),
      0,
      "How many threads the epoll engine moves bytes in; 0 is one for each core. Fewer leave cores to others on the machine; more gain nothing. Without effect on the node engine, which has one.",
    ),
    maxPipes: setting(
      integer(1, 65_536),
      256,
      "How many pipes the epoll engine keeps for bulk transfers, in all threads together; beyond it bytes are copied. A pipe takes two descriptors and 256 KiB, each of the first 16 of a thread 1 MiB; unprivileged users may have 64 MiB of them (`fs.pipe-user-pages-soft`), and what goes beyond is copied.",
    ),
  },
  state: {
    directory: optional(
      stateDirectory,
      "A directory of this proxy's own, which is made with mode 0700 where it is missing, and must belong to the user it runs as and be closed to all others. A public proxy that is started while another one with this directory runs takes over from it, listening sockets and all ([upgrades](upgrades.md)). Without it a second one finds its addresses in use. Private proxies keep nothing there so far.",
    ),
  },
  log: {
    level: setting(
      oneOf("trace", "debug", "info", "warn", "error", "fatal", "silent"),
      "info",
      "The least serious lines that are written. `info` has one line for each connection and for each change on the mesh.",
    ),
    format: setting(
      oneOf("auto", "json", "pretty"),
      "auto",
      "`json` is for machines, `pretty` for people; `auto` is pretty on a terminal and JSON everywhere else.",
    ),
    file: optional(path, "A file to append the log to. Without it the log goes to standard output."),
    connections: setting(
      flag,
      true,
      "Whether each connection gets a line at its end. On, because this line answers most questions; off where traffic is too heavy to log.",
    ),
  },
} satisfies Schema;
