import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import type { ExecutionContext } from "ava";
import { attach, meshSecureContext } from "../../src/mesh/client.js";
import type { FromPublic, Offer, Welcome } from "../../src/mesh/messages.js";
import { createTokenStock } from "../../src/private/token-stock.js";
import type { TestCertificates } from "./certificates.js";
import type { RunningPublic } from "./pair.js";

export interface Shares {
  readonly weight?: number;
  readonly priority?: number;
}

/** A private proxy that does nothing by itself but answer pings: the test says what is sent, and sees what comes. */
export interface ScriptedPrivate {
  readonly welcome: Welcome;
  announce(announcementId: number, names: readonly string[], alpn?: readonly string[], terms?: Shares): void;
  decline(token: Uint8Array): void;
  /** The next offer. */
  offer(): Promise<Offer>;
  /** The token of the next offer that is taken back. */
  cancelled(): Promise<Uint8Array>;
  /** Asks for a pool, and resolves with the tokens that are granted, those of the workers in turn. */
  askForPool(wanted: number, maxAgeMs?: number, renew?: boolean): Promise<readonly Uint8Array[]>;
  /** Says that the client which came with the token queues. */
  queued(token: Uint8Array, msLeft: number): void;
  /** Offers that nobody has asked for yet. */
  readonly offered: number;
  close(): Promise<void>;
}

export async function scriptedPrivate(
  t: ExecutionContext,
  certificates: TestCertificates,
  running: RunningPublic,
  name: string,
  instance = randomBytes(16).toString("hex"),
  /** What it calls itself; its certificate is `name`'s. */
  calledName = name,
): Promise<ScriptedPrivate> {
  const files = certificates.files(name);
  const context = meshSecureContext({
    certificate: readFileSync(files.certificate),
    key: readFileSync(files.key),
    ca: readFileSync(files.ca),
  });
  const [host, port] = running.mesh.split(":");
  const events = new EventEmitter();
  const offers: Offer[] = [];
  const cancelled: Uint8Array[] = [];
  const grants: (readonly Uint8Array[])[] = [];
  const closed = once(events, "closed");
  const link = attach({
    ip: host!,
    port: Number(port),
    host: host!,
    serverName: host!,
    context,
    keepalive: { intervalMs: 5000, timeoutMs: 5000 },
    connectTimeoutMs: 5000,
    handshakeTimeoutMs: 5000,
    events: {
      received(message: FromPublic) {
        if (message.type === "ping") link.send({ type: "pong", nonce: message.nonce });
        if (message.type === "offers") offers.push(...message.offers);
        if (message.type === "cancelOffer") cancelled.push(message.token);
        if (message.type === "poolGrant") grants.push(message.tokens);
        events.emit("message", message);
      },
      closed: () => events.emit("closed"),
    },
  });
  const hello = { protocolVersion: 1, name: calledName, instance, softwareVersion: "0" };
  link.send({ type: "hello", hello });
  const close = async () => {
    link.destroy();
    await closed;
  };
  t.teardown(close);
  const [first] = (await once(events, "message")) as [FromPublic];
  if (first.type !== "welcome") throw new Error(`a session begins with ${first.type}`);

  async function next<T>(queue: T[]): Promise<T> {
    while (queue.length === 0) await once(events, "message");
    return queue.shift()!;
  }
  return {
    welcome: first.welcome,
    announce: (announcementId, names, alpn = [], { weight = 1, priority = 0 } = {}) =>
      link.send({ type: "announce", announcementId, names, alpn, weight, priority }),
    decline: (token) => link.send({ type: "offerReply", token, reason: "target_unreachable" }),
    offer: () => next(offers),
    cancelled: () => next(cancelled),
    async askForPool(wanted, maxAgeMs = 0, renew = false) {
      link.send({ type: "poolState", idle: 0, wanted, maxAgeMs, renew });
      const stock = createTokenStock(() => 0);
      for (let missing = 2 * wanted; missing > 0; ) {
        const tokens = await next(grants);
        stock.add(tokens, 600_000);
        missing -= tokens.length;
      }
      return stock.take(2 * wanted);
    },
    queued: (token, msLeft) => link.send({ type: "queued", token, msLeft }),
    get offered() {
      return offers.length;
    },
    close,
  };
}
