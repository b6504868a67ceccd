import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { type Address, formatAddress } from "../base/address.js";
import { ProxyError } from "../base/errors.js";
import { halfOpenSet } from "../base/half-open.js";
import type { ReasonCode } from "../base/reasons.js";
import { tokenBuckets } from "../base/token-bucket.js";
import type { MeshPem } from "./client.js";

/** A handshake takes two round trips; five seconds is ample on any link that could carry clients. */
const handshakeTimeoutMs = 5000;
/** Handshakes under way at once. Each costs memory, a descriptor and, when it completes, about a millisecond of CPU. */
const maxHandshakes = 256;
/** New connections per second and address. A reconnecting private proxy needs one; many may share an address. */
const handshakesPerSecond = 50;
const handshakeBurst = 200;
const maxTrackedAddresses = 10_000;
/** As Node's own: what listens already would be given less otherwise. */
const backlog = 511;

export interface MeshAdmissionOptions {
  readonly pem: MeshPem;
  /** Gets a socket whose TLS handshake is done and whose certificate chains to the CA; it is the callee's. */
  readonly admitted: (socket: TLSSocket) => void;
  readonly refused: (reason: ReasonCode, peer: string, detail: string) => void;
}

export interface MeshAdmission {
  /**
   * Resolves with the address in text form. Throws `address_in_use` or `address_unavailable`. A `descriptor` listens
   * there already, and is this server's from here on.
   */
  listen(address: Address, descriptor?: number): Promise<string>;
  /** Stops listening and drops unfinished handshakes. Admitted sockets are not touched. */
  stopListening(): void;
  /** Resolves when it no longer listens and every socket it ever admitted is closed; those on unix sockets it closes. */
  closed(): Promise<void>;
}

/** A connection whose TLS handshake is under way. */
interface Handshake {
  readonly socket: Socket;
  readonly peer: string;
  /** Tells why it is not admitted, and is done; only the first time. Whoever calls it closes the socket. */
  refuse(reason: ReasonCode, detail: string): void;
  /** The same, and closes the socket. */
  end(reason: ReasonCode): void;
  /** It is no longer under way: its timer and its place are given back. */
  done(): void;
}

/**
 * Accepts on the mesh port and bounds what a peer without a certificate can cost, before gRPC sees anything: rate per
 * address, handshakes at once (the oldest gives way), time. Of these only the time is bounded on a unix socket, which
 * has its permissions.
 */
export function createMeshAdmission(options: MeshAdmissionOptions): MeshAdmission {
  const { pem, admitted, refused } = options;
  const servers: Server[] = [];
  const closing: Promise<void>[] = [];
  const rate = tokenBuckets({ perSecond: handshakesPerSecond, burst: handshakeBurst, maxKeys: maxTrackedAddresses });
  const handshaking = halfOpenSet(maxHandshakes);
  // By connection (both addresses), which the TLS socket shows as well as the raw one beneath it.
  const underWay = new Map<string, Handshake>();
  const unixSockets = new Set<Socket>();

  const tls = createTlsServer({
    cert: pem.certificate,
    key: pem.key,
    ca: pem.ca,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: "TLSv1.3",
    ALPNProtocols: ["h2"],
    // Ours is per raw socket, below; this one would also leave its own timer behind.
    handshakeTimeout: handshakeTimeoutMs * 2,
  });
  tls.on("secureConnection", (socket) => {
    if (socket.alpnProtocol === "h2") {
      underWay.get(connectionOf(socket))?.done();
      admitted(socket);
    } else {
      fail(socket, "the peer does not speak HTTP/2");
    }
  });
  tls.on("tlsClientError", (error: Error & { code?: string }, socket) => fail(socket, error.code ?? error.message));

  function fail(socket: TLSSocket, detail: string): void {
    // A socket that was closed has no addresses any more; whoever closed it has told why.
    underWay.get(connectionOf(socket))?.refuse("mesh_handshake_failed", detail);
    // Not the socket beneath: to close that in the middle of what TLS does with it ends the process (Node 20).
    socket.destroy();
  }

  function accept(socket: Socket): void {
    const peer = peerOf(socket);
    socket.on("error", () => socket.destroy());
    // Nobody's fault, and nobody's share of the rate: there is no address any more.
    if (socket.destroyed || socket.remoteAddress === undefined) return void socket.destroy();
    if (!rate.take(socket.remoteAddress)) {
      refused("mesh_rate_limited", peer, "");
      socket.destroy();
      return;
    }
    const connection = connectionOf(socket);
    const handshake: Handshake = {
      socket,
      peer,
      refuse(reason, detail) {
        if (underWay.get(connection) !== handshake) return;
        handshake.done();
        refused(reason, peer, detail);
      },
      end(reason) {
        handshake.refuse(reason, "");
        socket.destroy();
      },
      done() {
        if (underWay.get(connection) === handshake) underWay.delete(connection);
        clearTimeout(timer);
        leaveHalfOpen();
      },
    };
    const timer = setTimeout(() => handshake.end("mesh_handshake_timeout"), handshakeTimeoutMs);
    underWay.set(connection, handshake);
    const leaveHalfOpen = handshaking.enter(() => handshake.end("mesh_crowded"));
    socket.once("close", () => handshake.refuse("mesh_handshake_failed", "the peer left during the handshake"));
    socket.setNoDelay(true);
    tls.emit("connection", socket);
  }

  function acceptUnix(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    unixSockets.add(socket);
    socket.once("close", () => unixSockets.delete(socket));
    tls.emit("connection", socket);
  }

  return {
    listen(address, descriptor) {
      const server = createServer(address.kind === "unix" ? acceptUnix : accept);
      servers.push(server);
      return new Promise((resolve, reject) => {
        server.once("error", (cause: NodeJS.ErrnoException) => {
          const code = cause.code === "EADDRINUSE" ? "address_in_use" : "address_unavailable";
          reject(new ProxyError(code, `mesh.listen ${formatAddress(address)}: ${cause.message}`, { cause }));
        });
        const where = address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
        const listening = () => {
          server.removeAllListeners("error");
          server.on("error", (error) => refused("descriptors_exhausted", "", error.message));
          const bound = server.address();
          if (bound === null || typeof bound === "string") return resolve(formatAddress(address));
          resolve(formatAddress({ kind: "tcp", host: bound.address, port: bound.port }));
        };
        if (descriptor === undefined) server.listen({ ...where, exclusive: true }, listening);
        else server.listen({ fd: descriptor }, backlog, listening);
      });
    },
    stopListening() {
      for (const handshake of [...underWay.values()]) {
        handshake.done();
        handshake.socket.destroy();
      }
      for (const server of servers)
        if (server.listening) closing.push(new Promise((resolve) => server.close(() => resolve())));
    },
    async closed() {
      for (const socket of unixSockets) socket.destroy();
      await Promise.all(closing);
    },
  };
}

function peerOf(socket: Socket): string {
  if (socket.remoteAddress === undefined) return "unknown";
  return formatAddress({ kind: "tcp", host: socket.remoteAddress, port: socket.remotePort ?? 0 });
}

function connectionOf(socket: Socket): string {
  return `${peerOf(socket)} ${socket.localAddress} ${socket.localPort}`;
}
