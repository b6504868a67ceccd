import type { TLSSocket } from "node:tls";
import { Server, ServerCredentials, type ServerDuplexStream, status } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { type Address, formatAddress } from "../base/address.js";
import { messageOf, ProxyError } from "../base/errors.js";
import type { ReasonCode } from "../base/reasons.js";
import { createMeshAdmission } from "./admission.js";
import type { MeshPem } from "./client.js";
import { decodeFromPrivate, encodeFromPublic } from "./codec.js";
import { type EncodedMessage, maxMessageBytes, meshService, meshServiceName } from "./definition.js";
import type { FromPrivate__Output } from "./generated/rendezvous/v1/FromPrivate.js";
import type { FromPublic as WireFromPublic } from "./generated/rendezvous/v1/FromPublic.js";
import type { MeshLink, MeshLinkEvents } from "./link.js";
import type { FromPrivate, FromPublic } from "./messages.js";

/** A connection that does not attach, or whose stream has ended, is closed after this time. */
const maxIdleMs = 60_000;

/** How long a stream or connection that was ended may take to be gone. A peer that does not read would keep it for ever. */
const farewellMs = 2000;

export interface MeshServerOptions {
  readonly listen: readonly Address[];
  /** Sockets that listen already, in the place of those addresses; they are the server's when it has started. */
  readonly descriptors?: readonly { readonly address: Address; readonly descriptor: number }[];
  /** Nobody is accepted until `accept`. */
  readonly holds?: boolean;
  readonly pem: MeshPem;
  readonly keepalive: { readonly intervalMs: number; readonly timeoutMs: number };
  /**
   * A peer with a valid certificate (DER) opened a stream. Returns what is to be told of it, or the reason to refuse it.
   * Nothing is received before this has returned.
   */
  readonly attach: (
    link: MeshLink<FromPublic>,
    certificate: Uint8Array,
  ) => MeshLinkEvents<FromPrivate> | { readonly refused: ReasonCode; readonly detail: string };
  readonly refused: (reason: ReasonCode, peer: string, detail: string) => void;
}

export interface MeshServer {
  readonly addresses: readonly string[];
  /** Where it held back at the start. Throws as the start does. */
  accept(): Promise<void>;
  /** What gRPC health checking answers. */
  setServing(serving: boolean): void;
  /** Stops listening; the streams go on. */
  stopListening(): void;
  /** Ends everything at once, and cuts what peers have not closed after 2 s. Resolves when every connection is closed. */
  close(): Promise<void>;
}

/** Throws `address_in_use`, `address_unavailable`, or `settings_invalid` where the certificate cannot be used. */
export async function startMeshServer(options: MeshServerOptions): Promise<MeshServer> {
  const server = new Server({
    "grpc.keepalive_time_ms": options.keepalive.intervalMs,
    "grpc.keepalive_timeout_ms": options.keepalive.timeoutMs,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.max_connection_idle_ms": maxIdleMs,
    "grpc.max_concurrent_streams": 8,
    "grpc.max_receive_message_length": maxMessageBytes,
  });
  /** By peer: gRPC ends streams, but only whoever holds the socket can end a connection. */
  const sockets = new Map<string, TLSSocket>();
  server.addService(meshService, {
    Attach: (stream: AttachStream) => {
      const peer = stream.getPeer();
      acceptStream(stream, options, () => sockets.get(peer)?.destroy());
    },
  });
  const health = new HealthImplementation({ "": "SERVING", [meshServiceName]: "SERVING" });
  health.addToServer(server);
  // TLS is done by the time a connection is injected, hence "insecure".
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());

  const admission = createMeshAdmission({
    pem: options.pem,
    admitted: (socket: TLSSocket) => {
      socket.on("error", () => socket.destroy());
      // As gRPC names a stream's peer.
      const peer = `${socket.remoteAddress}:${socket.remotePort}`;
      sockets.set(peer, socket);
      socket.once("close", () => sockets.delete(peer));
      injector.injectConnection(socket);
    },
    refused: options.refused,
  });

  const addresses: string[] = [];
  async function accept(): Promise<void> {
    for (const address of options.listen) {
      const text = formatAddress(address);
      const given = options.descriptors?.filter((one) => formatAddress(one.address) === text) ?? [];
      if (given.length === 0) addresses.push(await admission.listen(address));
      for (const [at, { descriptor }] of given.entries()) {
        const bound = await admission.listen(address, descriptor);
        if (at === 0) addresses.push(bound);
      }
    }
  }
  try {
    if (options.holds !== true) await accept();
  } catch (error) {
    admission.stopListening();
    server.forceShutdown();
    throw error;
  }

  return {
    addresses,
    accept,
    setServing(serving) {
      health.setStatus("", serving ? "SERVING" : "NOT_SERVING");
      health.setStatus(meshServiceName, serving ? "SERVING" : "NOT_SERVING");
    },
    stopListening: admission.stopListening,
    async close() {
      admission.stopListening();
      injector.destroy();
      server.forceShutdown();
      const timer = setTimeout(() => {
        for (const socket of sockets.values()) socket.destroy();
      }, farewellMs);
      await admission.closed();
      clearTimeout(timer);
    },
  };
}

type AttachStream = ServerDuplexStream<FromPrivate__Output, WireFromPublic | EncodedMessage>;

/** `cut` ends the connection that the stream is on. */
function acceptStream(stream: AttachStream, options: MeshServerOptions, cut: () => void): void {
  const certificate = stream.getAuthContext().sslPeerCertificate?.raw;
  if (certificate === undefined) {
    fail(stream, status.UNAUTHENTICATED, "no client certificate");
    return;
  }
  const link = serverLink(stream, cut);
  const attached = options.attach(link, certificate);
  if ("refused" in attached) {
    options.refused(attached.refused, stream.getPeer(), attached.detail);
    fail(stream, status.UNAUTHENTICATED, attached.detail);
    return;
  }

  let open = true;
  const close = (why: string) => {
    if (!open) return;
    open = false;
    attached.closed(why);
  };
  /** Whoever does not read the answers is not read: else announcing without end would queue answers without end. */
  const pauseWhileUnread = () => {
    if (!stream.writableNeedDrain || stream.isPaused()) return;
    stream.pause();
    stream.once("drain", () => stream.resume());
  };
  stream.on("data", (wire: FromPrivate__Output) => {
    if (!open) return;
    try {
      const message = decodeFromPrivate(wire);
      if (message !== undefined) attached.received(message);
      pauseWhileUnread();
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      options.refused(error.code, stream.getPeer(), error.message);
      link.destroy(error.message);
    }
  });
  stream.on("cancelled", () => close("the link was lost"));
  stream.on("error", (error: Error) => close(messageOf(error)));
  stream.on("end", () => {
    // A lost connection shows as an end, too, and as a cancellation right after that.
    setImmediate(() => {
      close("the private proxy ended the stream");
      link.end();
    });
  });
  stream.on("close", () => close("the stream was closed"));
}

function serverLink(stream: AttachStream, cut: () => void): MeshLink<FromPublic> {
  let open = true;

  function close(): void {
    open = false;
    const timer = setTimeout(cut, farewellMs);
    stream.once("close", () => clearTimeout(timer));
  }

  return {
    peer: stream.getPeer(),
    get backlog() {
      return stream.writableLength;
    },
    send(message) {
      if (open && stream.writable) stream.write(encodeFromPublic(message));
    },
    end() {
      if (!open) return;
      close();
      stream.end();
    },
    destroy(why, how) {
      if (!open) return;
      close();
      if (how === "duplicate") fail(stream, status.ALREADY_EXISTS, why ?? "");
      else if (why === undefined) fail(stream, status.ABORTED, "the session was ended");
      else fail(stream, status.FAILED_PRECONDITION, why);
    },
  };
}

/** grpc-js ends a server stream with a status when an error with `code` and `details` is emitted on it. */
function fail(stream: AttachStream, code: status, details: string): void {
  stream.emit("error", Object.assign(new Error(details), { code, details }));
}
