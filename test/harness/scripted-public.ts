import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { ExecutionContext } from "ava";
import type { MeshLink } from "../../src/mesh/link.js";
import type { FromPrivate, FromPublic, Offer } from "../../src/mesh/messages.js";
import { startMeshServer } from "../../src/mesh/server.js";
import { prefaceBytes } from "../../src/rendezvous/preface.js";
import { serverName, type TestCertificates } from "./certificates.js";
import { address } from "./settings.js";

/** A public proxy that does nothing by itself, or something bad: the test says what is sent, and sees what comes. */
export interface ScriptedPublic {
  /** `127.0.0.1:port` of the mesh. */
  readonly mesh: string;
  /** The stream of the private proxy that attached last. */
  readonly link: MeshLink<FromPublic>;
  /** The next message that is no hello and no pong. */
  message(): Promise<FromPrivate>;
  /** Resolves with the next stream when it has said hello; nothing has been answered yet. */
  attached(): Promise<void>;
  welcome(endpoints?: readonly string[]): void;
  /** An offer as an honest public proxy makes it, but for the changes. */
  offer(changes?: Partial<Offer>): Offer;
  /** The next dial-back, its preface read. */
  dialBack(): Promise<Socket>;
  /** Dial-backs open now. */
  readonly open: number;
}

export async function scriptedPublic(t: ExecutionContext, certificates: TestCertificates): Promise<ScriptedPublic> {
  const events = new EventEmitter();
  const messages: FromPrivate[] = [];
  const dialBacks: Socket[] = [];
  const sockets = new Set<Socket>();
  let hellos = 0;
  let link: MeshLink<FromPublic> | undefined;

  const rendezvous = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    socket.once("readable", function read() {
      if (socket.read(prefaceBytes) === null) return void socket.once("readable", read);
      dialBacks.push(socket);
      events.emit("news");
    });
  });
  rendezvous.listen(0, "127.0.0.1");
  await once(rendezvous, "listening");
  const { port } = rendezvous.address() as AddressInfo;

  const files = certificates.files("public-proxy-1");
  const mesh = await startMeshServer({
    listen: [address("127.0.0.1:0")],
    pem: { certificate: readFileSync(files.certificate), key: readFileSync(files.key), ca: readFileSync(files.ca) },
    keepalive: { intervalMs: 5000, timeoutMs: 5000 },
    attach: (attached) => ({
      received(message) {
        if (message.type === "hello") {
          link = attached;
          hellos++;
        } else if (message.type !== "pong") messages.push(message);
        events.emit("news");
      },
      closed() {},
    }),
    refused() {},
  });
  t.teardown(async () => {
    rendezvous.close();
    for (const socket of sockets) socket.destroy();
    await mesh.close();
  });

  async function next<T>(queue: T[]): Promise<T> {
    while (queue.length === 0) await once(events, "news");
    return queue.shift()!;
  }
  return {
    mesh: mesh.addresses[0]!,
    get link() {
      return link!;
    },
    message: () => next(messages),
    async attached() {
      while (hellos === 0) await once(events, "news");
      hellos--;
    },
    welcome(endpoints = [`:${port}`]) {
      const welcome = {
        protocolVersion: 1,
        nodeName: "scripted",
        sessionId: randomBytes(16).toString("hex"),
        rendezvousEndpoints: endpoints,
        unansweredOffers: 1024,
        maxNames: 1000,
        attemptTimeoutMs: 3000,
        softwareVersion: "0",
      };
      link!.send({ type: "welcome", welcome });
    },
    offer: (changes = {}) => ({
      token: randomBytes(32),
      announcementId: 1,
      serverName,
      alpn: [],
      client: "192.0.2.1:1",
      endpoint: 0,
      msLeft: 3000,
      connectionId: "scripted-1",
      ...changes,
    }),
    dialBack: () => next(dialBacks),
    get open() {
      return sockets.size;
    },
  };
}
