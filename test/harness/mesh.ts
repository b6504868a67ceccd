import { EventEmitter, once } from "node:events";
import type { ExecutionContext } from "ava";
import { type AttachOptions, attach, type MeshPem, meshSecureContext } from "../../src/mesh/client.js";
import type { MeshLink } from "../../src/mesh/link.js";
import type { FromPrivate, FromPublic } from "../../src/mesh/messages.js";
import { type MeshServer, type MeshServerOptions, startMeshServer } from "../../src/mesh/server.js";
import type { TestCertificates } from "./certificates.js";

/** One side of a mesh stream as a test sees it. */
export interface SeenLink<Out, In> {
  readonly link: MeshLink<Out>;
  /** The next message, past or to come. */
  next(): Promise<In>;
  /** Resolves with the reason when it has closed. */
  readonly closed: Promise<string>;
}

export function pemOf(certificates: TestCertificates, name: string): MeshPem {
  const { cert, key } = certificates.pem(name);
  return { certificate: cert, key, ca: certificates.ca };
}

function seeing<Out, In>(open: (events: { received(message: In): void; closed(why: string): void }) => MeshLink<Out>) {
  const messages: In[] = [];
  const emitter = new EventEmitter();
  let closed!: (why: string) => void;
  const whenClosed = new Promise<string>((resolve) => {
    closed = resolve;
  });
  const link = open({
    received(message) {
      messages.push(message);
      emitter.emit("message");
    },
    closed,
  });
  const seen: SeenLink<Out, In> = {
    link,
    async next() {
      while (messages.length === 0) await once(emitter, "message");
      return messages.shift()!;
    },
    closed: whenClosed,
  };
  return seen;
}

export interface SeenServer {
  readonly server: MeshServer;
  readonly port: number;
  /** `REASON DETAIL` of every refusal. */
  readonly refusals: readonly string[];
  /** The next refusal, past or to come. */
  refusal(): Promise<string>;
  /** The next stream that was opened. */
  stream(): Promise<SeenLink<FromPublic, FromPrivate>>;
}

/** A mesh server on a port of the system's choice, closed when the test ends. */
export async function seenMeshServer(
  t: ExecutionContext,
  certificates: TestCertificates,
  options: Partial<MeshServerOptions> = {},
): Promise<SeenServer> {
  const emitter = new EventEmitter();
  const refusals: string[] = [];
  const streams: SeenLink<FromPublic, FromPrivate>[] = [];
  let taken = 0;
  const server = await startMeshServer({
    listen: [{ kind: "tcp", host: "127.0.0.1", port: 0 }],
    pem: pemOf(certificates, "public-proxy-1"),
    keepalive: { intervalMs: 5000, timeoutMs: 5000 },
    attach(link) {
      let events!: { received(message: FromPrivate): void; closed(why: string): void };
      streams.push(
        seeing<FromPublic, FromPrivate>((given) => {
          events = given;
          return link;
        }),
      );
      emitter.emit("stream");
      return events;
    },
    refused(reason, _peer, detail) {
      refusals.push(`${reason} ${detail}`.trim());
      emitter.emit("refusal");
    },
    ...options,
  });
  t.teardown(() => server.close());
  return {
    server,
    port: Number(/:(\d+)$/.exec(server.addresses[0] ?? "")?.[1]),
    refusals,
    async refusal() {
      while (refusals.length <= taken) await once(emitter, "refusal");
      return refusals[taken++]!;
    },
    async stream() {
      while (streams.length === 0) await once(emitter, "stream");
      return streams.shift()!;
    },
  };
}

/** A private proxy's end of the mesh, ended when the test ends. */
export function seenAttach(
  t: ExecutionContext,
  certificates: TestCertificates,
  port: number,
  options: Partial<AttachOptions> = {},
): SeenLink<FromPrivate, FromPublic> {
  const seen = seeing<FromPrivate, FromPublic>((events) =>
    attach({
      ip: "127.0.0.1",
      port,
      host: "localhost",
      serverName: "localhost",
      context: meshSecureContext(pemOf(certificates, "private-proxy-1")),
      keepalive: { intervalMs: 5000, timeoutMs: 5000 },
      connectTimeoutMs: 5000,
      handshakeTimeoutMs: 5000,
      events,
      ...options,
    }),
  );
  t.teardown(async () => {
    seen.link.destroy();
    await seen.closed;
  });
  return seen;
}

export const someHello: FromPrivate = {
  type: "hello",
  hello: { protocolVersion: 1, name: "test", instance: "00".repeat(16), softwareVersion: "0", attachedTo: [] },
};
