import { createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { type ClientDuplexStream, type ClientUnaryCall, status } from "@grpc/grpc-js";
import { messageOf, ProxyError } from "../base/errors.js";
import { decodeFromPublic, encodeFromPrivate } from "./codec.js";
import { MeshCredentials } from "./credentials.js";
import { Mesh, maxMessageBytes } from "./definition.js";
import { dialledChannel } from "./dialled-address.js";
import type { FromPrivate as WireFromPrivate } from "./generated/rendezvous/v1/FromPrivate.js";
import type { FromPublic__Output } from "./generated/rendezvous/v1/FromPublic.js";
import type { DialledLink, MeshLinkEvents } from "./link.js";
import type { FromPrivate, FromPublic } from "./messages.js";

/** Replies that may wait for a public proxy that reads none. More than the announcements that a session may start with. */
const maxUnreadReplies = 32_768;

/** How long what is left of a connection may take to be closed in order. A peer that is gone would keep it for minutes. */
const farewellMs = 2000;

/** Standard gRPC health checking: every answer says that somebody is there, even that it is not known. */
const healthCheck = "/grpc.health.v1.Health/Check";

/** PEM texts. */
export interface MeshPem {
  readonly certificate: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

export interface AttachOptions {
  /** The address to dial, looked up already. */
  readonly ip: string;
  readonly port: number;
  /** The host as the settings name it, for `:authority`. */
  readonly host: string;
  /** The name that the certificate must bear. */
  readonly serverName: string;
  readonly context: SecureContext;
  readonly keepalive: { readonly intervalMs: number; readonly timeoutMs: number };
  readonly connectTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  readonly events: MeshLinkEvents<FromPublic>;
}

/** Throws `settings_invalid` where certificate, key and CA do not fit together. */
export function meshSecureContext(pem: MeshPem): SecureContext {
  try {
    return createSecureContext({ cert: pem.certificate, key: pem.key, ca: pem.ca, minVersion: "TLSv1.3" });
  } catch (cause) {
    throw new ProxyError("settings_invalid", `mesh certificate, key or ca: ${messageOf(cause)}`, { cause });
  }
}

/**
 * Opens one Attach stream to one address. Nothing is retried here: grpc-js's own backoff, shared subchannels and name
 * resolution are kept out, so that reconnecting is decided in one place. `events.closed` comes once whatever happens.
 */
export function attach(options: AttachOptions): DialledLink<FromPrivate> {
  const { ip, port, host, events } = options;
  const giveUp = new AbortController();
  const dialled = dialledChannel({ ip, port, signal: giveUp.signal });
  let peer = ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
  let open = true;
  let connection: TLSSocket | undefined;
  let checking: { readonly timer: NodeJS.Timeout; readonly call: ClientUnaryCall } | undefined;
  const connecting = setTimeout(
    () => close(`no connection within ${options.connectTimeoutMs} ms`),
    options.connectTimeoutMs,
  );
  const credentials = new MeshCredentials({
    ...options,
    wanted: () => open,
    dialled: () => clearTimeout(connecting),
    connected(socket) {
      connection = socket;
      peer = `${socket.remoteFamily === "IPv6" ? `[${socket.remoteAddress}]` : socket.remoteAddress}:${socket.remotePort}`;
    },
  });
  const client = new Mesh(dialled.target, credentials, {
    ...dialled.options,
    "grpc.default_authority": host,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_http_proxy": 0,
    "grpc.enable_retries": 0,
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.keepalive_time_ms": options.keepalive.intervalMs,
    "grpc.keepalive_timeout_ms": options.keepalive.timeoutMs,
    "grpc.keepalive_permit_without_calls": 1,
  });
  const stream: ClientDuplexStream<WireFromPrivate, FromPublic__Output> = client.attach();
  let established = false;

  function close(why: string, how?: "duplicate"): void {
    if (!open) return;
    open = false;
    clearTimeout(connecting);
    answered();
    stream.cancel();
    client.close();
    // In order where there is a peer; a connection that is still being made is given up, but never in the middle of what
    // TLS does with it.
    if (!established) setImmediate(() => giveUp.abort());
    else if (connection !== undefined && !connection.destroyed) {
      const socket = connection;
      const timer = setTimeout(() => socket.destroy(), farewellMs).unref();
      socket.once("close", () => clearTimeout(timer));
    }
    events.closed(why, how);
  }

  /** The check is over: it was answered, or the link has ended. */
  function answered(): void {
    if (checking === undefined) return;
    const { timer, call } = checking;
    checking = undefined;
    clearTimeout(timer);
    call.cancel();
  }

  stream.on("data", (wire: FromPublic__Output) => {
    established = true;
    if (!open) return;
    try {
      const message = decodeFromPublic(wire);
      if (message !== undefined) events.received(message);
    } catch (error) {
      close(messageOf(error));
    }
  });
  stream.on("error", (error: Error & { code?: number; details?: string }) => {
    const name = error.code === undefined ? "" : `${status[error.code]}: `;
    close(`${name}${error.details ?? error.message}`, error.code === status.ALREADY_EXISTS ? "duplicate" : undefined);
  });
  stream.on("end", () => close("the public proxy ended the stream"));

  return {
    get peer() {
      return peer;
    },
    get backlog() {
      return stream.writableLength;
    },
    send(message) {
      if (!open || stream.writableEnded) return;
      // Here it must go on reading: the public proxy pauses while it is not read, and two that pause would wait for ever.
      const isReply = message.type === "pong" || message.type === "offerReply";
      if (isReply && stream.writableLength > maxUnreadReplies) return;
      stream.write(encodeFromPrivate(message));
    },
    end() {
      if (open) stream.end();
    },
    destroy: (why = "closed here") => close(why),
    check(timeoutMs) {
      if (!open || !established || checking !== undefined) return;
      const none = Buffer.alloc(0);
      const call = client.makeUnaryRequest(
        healthCheck,
        () => none,
        (bytes) => bytes,
        none,
        answered,
      );
      // The answer may be there and not read yet, where this process was held up meanwhile: it has the round's turn first.
      const late = () => setImmediate(() => checking?.call === call && close(`no answer within ${timeoutMs} ms`));
      checking = { call, timer: setTimeout(late, timeoutMs) };
    },
  };
}
