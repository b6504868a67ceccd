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

export interface MeshAdmissionOptions {
  readonly pem: MeshPem;
  /** Gets a socket whose TLS handshake is done and whose certificate chains to the CA; it is the callee's. */
  readonly admitted: (socket: TLSSocket) => void;
  readonly refused: (reason: ReasonCode, peer: string, detail: string) => void;
}

export interface MeshAdmission {
  /** Resolves with the address in text form. Throws `address_in_use` or `address_unavailable`. */
  listen(address: Address): Promise<string>;
  /** Stops listening and drops unfinished handshakes. Admitted sockets are not touched. */
  stopListening(): void;
  /** Resolves when it no longer listens and every socket it ever admitted is closed. */
  closed(): Promise<void>;
}

/**
 * Accepts on the mesh port and bounds what a peer without a certificate can cost, before gRPC sees anything: rate per
 * address, handshakes at once (the oldest gives way), time.
 */
export function createMeshAdmission(options: MeshAdmissionOptions): MeshAdmission {
  const { pem, admitted, refused } = options;
  const servers: Server[] = [];
  const closing: Promise<void>[] = [];
  const rate = tokenBuckets({ perSecond: handshakesPerSecond, burst: handshakeBurst, maxKeys: maxTrackedAddresses });
  const handshaking = halfOpenSet<string>(maxHandshakes);
  // By connection (both addresses), which the TLS socket shows as well as the raw one beneath it.
  const pending = new Map<string, { socket: Socket; settle: () => void }>();

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
    pending.get(connectionOf(socket))?.settle();
    if (socket.alpnProtocol === "h2") return admitted(socket);
    refused("mesh_handshake_failed", peerOf(socket), "the peer does not speak HTTP/2");
    socket.destroy();
  });
  tls.on("tlsClientError", (error: Error & { code?: string }, socket) => {
    refused("mesh_handshake_failed", peerOf(socket), error.code ?? error.message);
    socket.destroy();
  });

  function accept(socket: Socket): void {
    const peer = peerOf(socket);
    const connection = connectionOf(socket);
    const refuse = (reason: ReasonCode) => {
      refused(reason, peer, "");
      socket.destroy();
    };
    socket.on("error", () => socket.destroy());
    if (!rate.take(socket.remoteAddress ?? "")) return refuse("mesh_rate_limited");
    const timer = setTimeout(() => refuse("mesh_handshake_timeout"), handshakeTimeoutMs);
    const settle = () => {
      clearTimeout(timer);
      pending.delete(connection);
      handshaking.delete(connection);
    };
    pending.set(connection, { socket, settle });
    handshaking.add(connection, () => refuse("mesh_crowded"));
    socket.once("close", settle);
    socket.setNoDelay(true);
    tls.emit("connection", socket);
  }

  return {
    listen(address) {
      const server = createServer(accept);
      servers.push(server);
      return new Promise((resolve, reject) => {
        server.once("error", (cause: NodeJS.ErrnoException) => {
          const code = cause.code === "EADDRINUSE" ? "address_in_use" : "address_unavailable";
          reject(new ProxyError(code, `mesh.listen ${formatAddress(address)}: ${cause.message}`, { cause }));
        });
        const where = address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
        server.listen({ ...where, exclusive: true }, () => {
          server.removeAllListeners("error");
          server.on("error", (error) => refused("descriptors_exhausted", "", error.message));
          const bound = server.address();
          if (bound === null || typeof bound === "string") return resolve(formatAddress(address));
          resolve(formatAddress({ kind: "tcp", host: bound.address, port: bound.port }));
        });
      });
    },
    stopListening() {
      for (const { socket } of pending.values()) socket.destroy();
      for (const server of servers)
        if (server.listening) closing.push(new Promise((resolve) => server.close(() => resolve())));
    },
    async closed() {
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
