import { createSecureContext, type SecureContext } from "node:tls";
import { type ClientDuplexStream, status } from "@grpc/grpc-js";
import { messageOf, ProxyError } from "../base/errors.js";
import { decodeFromPublic, encodeFromPrivate } from "./codec.js";
import { MeshCredentials } from "./credentials.js";
import { Mesh, maxMessageBytes } from "./definition.js";
import { dialledChannel } from "./dialled-address.js";
import type { FromPrivate as WireFromPrivate } from "./generated/rendezvous/v1/FromPrivate.js";
import type { FromPublic__Output } from "./generated/rendezvous/v1/FromPublic.js";
import type { MeshLink, MeshLinkEvents } from "./link.js";
import type { FromPrivate, FromPublic } from "./messages.js";

/** Replies that may wait for a public proxy that reads none. More than the announcements that a session may start with. */
const maxUnreadReplies = 32_768;

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
export function attach(options: AttachOptions): MeshLink<FromPrivate> {
  const { ip, port, host, events } = options;
  const giveUp = new AbortController();
  const dialled = dialledChannel({ ip, port, signal: giveUp.signal });
  let peer = ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
  let open = true;
  const credentials = new MeshCredentials({
    ...options,
    wanted: () => open,
    connected(socket) {
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

  function close(why: string): void {
    if (!open) return;
    open = false;
    stream.cancel();
    client.close();
    // In order where there is a peer; a connection that is still being made is given up, but never in the middle of what
    // TLS does with it.
    if (!established) setImmediate(() => giveUp.abort());
    events.closed(why);
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
    close(`${name}${error.details ?? error.message}`);
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
  };
}
