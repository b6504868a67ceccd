import { type Deadline, deadlineIn, msLeft } from "../base/deadline.js";
import { codeOf, messageOf, ProxyError } from "../base/errors.js";
import { type ClientHello, createHelloReader } from "../tls-sni/index.js";
import type { Endpoint } from "../transport/endpoint.js";
import { Asked } from "./asked.js";
import { takeTurn } from "./attempt.js";
import type { ClientPlane } from "./data-plane.js";
import type { LiveConnection } from "./live-connections.js";
import type { BegunConnection } from "./messages.js";
import type { Announcer } from "./names.js";
import { readPreamble } from "./preamble.js";

/**
 * The story of one client connection: read the ClientHello, find who announced the name, have the client fetched,
 * splice. It ends when the splice begins. Owns `client`. Never rejects: whatever goes wrong becomes one reason code, in
 * the one catch below, and the code becomes alert, counter and log line. `begun`: another worker has read the hello before.
 */
export async function serveClient(client: Endpoint, plane: ClientPlane, begun?: BegunConnection): Promise<void> {
  const connection = plane.connections.open(client, begun);
  try {
    const { hello, bytes } = await readHello(connection, plane);
    connection.serverName = hello.serverName;
    connection.countName(plane.config.maxPerName);
    const met = await rendezvous(connection, hello, bytes, plane);
    if (met.status === "passed") return;
    connection.splice(plane.splice(client, met.dialBack), met.announcer, bytes.length);
  } catch (error) {
    if (codeOf(error) === "internal") plane.fault(error);
    connection.refuse(connection.gone ? "client_left" : codeOf(error), messageOf(error));
  }
}

interface HelloRead {
  readonly hello: ClientHello;
  /** All that was read of the client: the hello's records as they came, and what came with them. */
  readonly bytes: Uint8Array;
}

/** Throws `hello_timeout`, `client_left`, `client_address_full`, what the preamble throws, or why the reader rejects. RFC 8446 §4.1.2. */
async function readHello(connection: LiveConnection, plane: ClientPlane): Promise<HelloRead> {
  const { helloTimeoutMs, maxHelloBytes } = plane.config;
  const { client } = connection;
  const deadline = deadlineIn(helloTimeoutMs, "hello_timeout");
  const reader = createHelloReader({ maxHelloBytes });
  const leaveHalfOpen = plane.halfOpenHellos.enter(() => connection.refuse("hello_crowded_out"));
  try {
    if (!connection.passed) await readPreamble(connection, deadline, plane.preamble);
    connection.countAddress(plane.config.maxPerClientAddress);
    for (;;) {
      const chunk = await client.read(deadline);
      if (chunk === undefined) throw new ProxyError("client_left");
      const result = reader.push(chunk);
      if (result.status === "hello") return result;
      if (result.status === "reject") throw new ProxyError(result.reason);
    }
  } finally {
    leaveHalfOpen();
  }
}

type Rendezvous =
  /** The verdict of the dial-back has been read; the hello is on its way to the target. */
  | { readonly status: "met"; readonly announcer: Announcer; readonly dialBack: Endpoint }
  /** A dial-back is parked at another worker, whose the client is now. */
  | { readonly status: "passed" };

/**
 * Offers the client to one private proxy after another until one takes it. Throws a `server_name_...` code,
 * `all_declined`, `targets_full`, `private_proxies_full`, `nobody_answered`, `parking_full` or `client_left`.
 */
async function rendezvous(
  connection: LiveConnection,
  hello: ClientHello,
  bytes: Uint8Array,
  plane: ClientPlane,
): Promise<Rendezvous> {
  const overall = deadlineIn(plane.config.deadlineMs, "nobody_answered");
  const asked = new Asked();
  const leaveWaiting = plane.enterWaiting();
  try {
    for (;;) {
      const announcer = await nextAnnouncer(connection, hello, asked, overall, plane);
      if (announcer === undefined) throw asked.failure();
      const { usePool } = asked;
      if (usePool && plane.passOn(connection, bytes, announcer)) return { status: "passed" };
      const turn = { connection, hello, bytes, announcer, usePool, overall };
      const attempt = await plane.turns.watch(connection, announcer, () => takeTurn(turn, plane));
      if (connection.gone) throw new ProxyError("client_left");
      if (attempt.status === "taken") return { status: "met", announcer, dialBack: attempt.dialBack };
      // The hello may have reached a server, and early data must not be played to a second one (RFC 8446 §8).
      const isLost = attempt.status !== "declined" && attempt.status !== "unanswered";
      if (isLost && hello.earlyData) throw new ProxyError("nobody_answered");
      asked.note(announcer, attempt);
      // Whoever is asked now could not answer in time, and its dial-back would be wasted.
      if (msLeft(overall) === 0) throw asked.failure();
    }
  } finally {
    leaveWaiting();
  }
}

/**
 * The next private proxy to ask; undefined when all were asked. Throws `private_proxies_full` where all have as much as
 * they may have. Waits while a name that is missing may yet come.
 */
async function nextAnnouncer(
  connection: LiveConnection,
  hello: ClientHello,
  asked: Asked,
  deadline: Deadline,
  plane: ClientPlane,
): Promise<Announcer | undefined> {
  for (;;) {
    const match = plane.names.match(hello);
    if (match.status === "announced") return plane.turns.next(connection, match.announcers, asked);
    if (match.status === "refused") throw new ProxyError(match.reason);
    if (msLeft(deadline) === 0) throw new ProxyError(deadline.code);
    await plane.hold(connection, hello.serverName, Math.min(match.until, deadline.at));
    if (connection.gone) throw new ProxyError("client_left");
  }
}
