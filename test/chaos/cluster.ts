import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestCertificates } from "../harness/certificates.js";
import { type FaultProxy, openFaultProxy } from "../harness/fault-proxy.js";
import { type Member, proxyMember, serverMember } from "../harness/member.js";
import { freePorts } from "../harness/processes.js";

/** The way from one private proxy to one public proxy. */
export interface Link {
  readonly name: string;
  readonly mesh: FaultProxy;
  readonly rendezvous: FaultProxy;
}

/**
 * Two public proxies, three private ones with a way to each, two internal servers: processes of their own. The second public
 * proxy may have few descriptors; the first private proxy asks its targets' health, the second has a cap and a queue, the
 * third writes PROXY headers.
 */
export interface Cluster {
  readonly dir: string;
  readonly members: readonly Member[];
  readonly publics: readonly (Member & { readonly tlsPort: number })[];
  readonly privates: readonly (Member & { readonly poolFloor: number })[];
  readonly servers: readonly Member[];
  readonly links: readonly Link[];
  /** Everybody serves the first name, and one each of the others. */
  readonly names: readonly string[];
  /** Lines that the servers have written about what was wrong. */
  readonly wrongFile: string;
  start(): Promise<void>;
  /** Kills what runs, closes the links. */
  close(): Promise<void>;
}

/** Low, so that a few hundred clients exhaust it. */
export const fewDescriptors = 256;
/** Idle pipes are kept; so few make no difference to the descriptors of a process. */
export const maxPipes = 4;

const shared = "shared.internal-server.local";
const own = ["one", "two", "three"].map((label) => `${label}.internal-server.local`);

/**
 * Limits of the proxies, so short that each is met within a run. What they let a client wait in the worst case, one after the
 * other: hold 3 s, rendezvous 6 s, idle 10 s.
 */
const limits = {
  hello: 5000,
  preface: 2000,
  attempt: 2000,
  deadline: 6000,
  hold: 3000,
  idle: 10_000,
  keepalive: { intervalMs: 1000, timeoutMs: 1000 },
};

export async function createCluster(engine: "epoll" | "node", certificates: TestCertificates): Promise<Cluster> {
  const dir = mkdtempSync(join(tmpdir(), `proxy-chaos-${engine}-`));
  const wrongFile = join(dir, "wrong");
  const [tls1, tls2, mesh1, mesh2, back1, back2, asked1, asked2, server1, server2] = await freePorts(10);
  const common = {
    splice: { idleTimeoutMs: limits.idle, halfClosedTimeoutMs: limits.idle },
    shutdown: { graceMs: 2000 },
    transport: { engine, workers: 2, maxPipes },
  };

  const publics = [
    { name: "public-1", tls: tls1, mesh: mesh1, back: back1, asked: asked1 },
    { name: "public-2", tls: tls2, mesh: mesh2, back: back2, asked: asked2, maxDescriptors: fewDescriptors },
  ].map(({ name, tls, mesh, back, asked, ...more }) => {
    const settings = {
      tls: { listen: `127.0.0.1:${tls}`, helloTimeoutMs: limits.hello },
      rendezvous: {
        listen: `127.0.0.1:${back}`,
        // Where the faults are: at the address that the private proxy dialled for the mesh.
        advertise: [`:${asked}`],
        prefaceTimeoutMs: limits.preface,
        attemptTimeoutMs: limits.attempt,
        deadlineMs: limits.deadline,
        startupHoldMs: limits.hold,
      },
      mesh: {
        listen: `127.0.0.1:${mesh}`,
        ...certificates.files("public-proxy-1"),
        keepalive: limits.keepalive,
      },
      grants: [
        { identity: "private-proxy-1", names: [shared, own[0], own[1]], shared: true },
        { identity: "private-proxy-2", names: [shared, own[2]], shared: true },
      ],
      ...common,
    };
    const process = proxyMember({ name, role: "public", dir, settings, logConnections: true, ...more });
    return Object.assign(process, { tlsPort: tls!, meshPort: mesh!, backPort: back!, askedPort: asked! });
  });

  const links: Link[] = [];
  const privates: (Member & { readonly poolFloor: number })[] = [];
  const first = { addresses: [`127.0.0.1:${server1}`, `127.0.0.1:${server2}`] };
  const healthCheck = { type: "tcp", intervalMs: 1000, timeoutMs: 1000, rise: 1, fall: 2 };
  for (const [at, { identity, poolFloor, target }] of [
    { identity: "private-proxy-1", poolFloor: 2, target: { ...first, healthCheck } },
    {
      identity: "private-proxy-1",
      poolFloor: 0,
      target: { address: `127.0.0.1:${server1}`, maxConnections: 6, queue: { max: 8, timeoutMs: 2000 } },
    },
    { identity: "private-proxy-2", poolFloor: 1, target: { address: `127.0.0.1:${server2}`, proxyProtocol: "v2" } },
  ].entries()) {
    const name = `private-${at + 1}`;
    const host = `127.0.0.${at + 11}`;
    for (const to of publics) {
      const rendezvous = await openFaultProxy({ target: to.backPort, host, port: to.askedPort });
      const mesh = await openFaultProxy({ target: to.meshPort, host });
      links.push({ name: `${name} to ${to.name}`, mesh, rendezvous });
    }
    const settings = {
      mesh: {
        publics: links.slice(-publics.length).map(({ mesh }) => `${host}:${mesh.port}`),
        serverName: "localhost",
        ...certificates.files(identity),
        reconnect: { minMs: 100, maxMs: 1000 },
        keepalive: limits.keepalive,
      },
      targets: [{ names: [shared, own[at]], ...target }],
      pool: { minIdle: poolFloor, maxIdle: poolFloor + 2, max: 64 },
      ...common,
    };
    privates.push(
      Object.assign(proxyMember({ name, role: "private", dir, settings, logConnections: false }), { poolFloor }),
    );
  }

  const { certificate, key } = certificates.files("internal-server");
  const servers = [server1, server2].map((port, at) =>
    serverMember({ name: `server-${at + 1}`, port: port!, certificate, key, wrongFile }),
  );
  const members: Member[] = [...servers, ...publics, ...privates];
  return {
    dir,
    members,
    publics,
    privates,
    servers,
    links,
    names: [shared, ...own],
    wrongFile,
    async start() {
      for (const each of members) await each.start();
    },
    async close() {
      for (const each of members) await each.kill();
      for (const { mesh, rendezvous } of links) {
        await mesh.close();
        await rendezvous.close();
      }
    },
  };
}
