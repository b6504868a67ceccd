/**
 * Private proxies that are attached and announce names, but serve nothing: the crowd in which a real one is measured.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { attach, meshSecureContext } from "../../src/mesh/client.js";
import type { MeshLink } from "../../src/mesh/link.js";
import { type FromPrivate, protocolVersion } from "../../src/mesh/messages.js";
import { runLoad } from "./program.js";

export interface AttachmentsOptions {
  readonly meshPort: number;
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
  readonly attachments: number;
  /** In all, spread over the attachments. */
  readonly names: number;
}

export interface AttachmentsResult {
  readonly attached: number;
  readonly accepted: number;
}

/** Under the mesh's admission rate, which is 50 per second and address after a burst of 200. */
const perSecond = 45;
const burst = 150;
const handshakesAtOnce = 16;
const namesPerMessage = 2000;

runLoad<AttachmentsOptions, AttachmentsResult>(async (options) => {
  const { meshPort, attachments, names } = options;
  const pem = {
    certificate: readFileSync(options.certificate),
    key: readFileSync(options.key),
    ca: readFileSync(options.ca),
  };
  const context = meshSecureContext(pem);
  const links = new Set<MeshLink<FromPrivate>>();
  let accepted = 0;
  let attached = 0;
  let stopping = false;

  /** Resolves when its names are accepted. */
  function attachOne(index: number, share: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let missing = share;
      const link = attach({
        ip: "127.0.0.1",
        port: meshPort,
        host: "127.0.0.1",
        serverName: "127.0.0.1",
        context,
        // Rarer than by default: a thousand keepalives from one process would be the load.
        keepalive: { intervalMs: 60_000, timeoutMs: 20_000 },
        connectTimeoutMs: 5000,
        handshakeTimeoutMs: 20_000,
        events: {
          received(message) {
            if (message.type === "ping") return link.send({ type: "pong", nonce: message.nonce });
            if (message.type === "welcome") {
              attached++;
              announce(link, index, share);
              if (share === 0) resolve();
            }
            if (message.type !== "announceResult") return;
            for (const { status, name } of message.results) {
              if (status !== "accepted") return reject(new Error(`${name}: ${status}`));
              accepted++;
              if (--missing === 0) resolve();
            }
          },
          closed(why) {
            links.delete(link);
            attached--;
            if (!stopping) reject(new Error(`attachment ${index}: ${why}`));
          },
        },
      });
      links.add(link);
      link.send({
        type: "hello",
        hello: {
          protocolVersion,
          name: `crowd-${index}`,
          instance: randomBytes(16).toString("hex"),
          softwareVersion: "bench",
        },
      });
    });
  }

  function announce(link: MeshLink<FromPrivate>, index: number, share: number): void {
    for (let first = 0, id = 1; first < share; first += namesPerMessage, id++) {
      const count = Math.min(namesPerMessage, share - first);
      const some = Array.from({ length: count }, (_, at) => `name-${first + at}.of-${index}.crowd.example.com`);
      link.send({ type: "announce", announcementId: id, names: some, alpn: [], weight: 1, priority: 0 });
    }
  }

  const startedAt = performance.now();
  let next = 0;
  async function attachInTurn(): Promise<void> {
    for (let index = next++; index < attachments; index = next++) {
      const earliest = startedAt + ((index - burst) / perSecond) * 1000;
      const ms = earliest - performance.now();
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
      const share = Math.floor(names / attachments) + (index < names % attachments ? 1 : 0);
      await attachOne(index, share);
    }
  }
  await Promise.all(Array.from({ length: handshakesAtOnce }, attachInTurn));

  return {
    begin() {},
    result: () => ({ attached, accepted }),
    async stop() {
      stopping = true;
      for (const link of links) link.destroy();
    },
  };
});
