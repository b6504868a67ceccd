import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import type { ExecutionContext } from "ava";
import { serverName, type TestCertificates } from "./certificates.js";
import { ask } from "./clients.js";
import { echoServer } from "./internal-server.js";
import { freePorts, type ProxyProcess, ready, runProxyProcess } from "./processes.js";
import { engineUnderTest } from "./settings.js";

/** Two public and two private proxies as processes, each of them attached to both, and clients all the time. */
export interface RollingScene {
  readonly publics: ProxyProcess[];
  readonly privates: ProxyProcess[];
  /** Starts a process that takes over from this one; resolves when the old one has ended. */
  restartPublic(index: number): Promise<void>;
  /** Stops one and starts another one in its place; resolves when that one has announced its name everywhere. */
  restartPrivate(index: number): Promise<void>;
  readonly clients: ClientsUnderWay;
}

export interface ClientsUnderWay {
  readonly served: number;
  readonly failures: readonly string[];
  /** Resolves when so many more have been served. */
  more(count: number): Promise<void>;
  stop(): Promise<void>;
}

export async function rollingScene(
  t: ExecutionContext,
  certificates: TestCertificates,
  { parallel, changes = {} }: { readonly parallel: number; readonly changes?: object },
): Promise<RollingScene> {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const directory = mkdtempSync(join(tmpdir(), "rolling-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const ports = await freePorts(6);
  const transport = engineUnderTest();
  const meshes = [ports[1]!, ports[4]!].map((port) => `127.0.0.1:${port}`);

  const publicSettings = [0, 1].map((index) => ({
    name: `public-proxy-${index + 1}`,
    tls: { listen: `127.0.0.1:${ports[3 * index]}` },
    rendezvous: { listen: `127.0.0.1:${ports[3 * index + 2]}` },
    mesh: { listen: meshes[index], ...certificates.files("public-proxy-1") },
    grants: [{ identity: "private-proxy-1", names: [serverName] }],
    admin: { socket: join(directory, `public-${index}.sock`) },
    state: { directory: join(directory, `state-${index}`) },
    transport,
    ...changes,
  }));
  const privateSettings = [0, 1].map((index) => ({
    name: `private-proxy-${index + 1}`,
    mesh: { publics: meshes, ...certificates.files("private-proxy-1") },
    targets: [{ names: [serverName], address: `127.0.0.1:${server.port}` }],
    transport,
  }));
  const startPublic = (index: number) => runProxyProcess(t, "public", publicSettings[index]!);
  const startPrivate = async (index: number) => {
    const started = runProxyProcess(t, "private", privateSettings[index]!);
    for (const publicProxy of meshes) {
      await started.line((line) => line.msg === "name announced" && line.publicProxy === publicProxy);
    }
    return started;
  };

  const publics = [0, 1].map(startPublic);
  await Promise.all(publics.map(ready));
  const privates = await Promise.all([0, 1].map(startPrivate));
  const clients = clientsUnderWay(certificates, [ports[0]!, ports[3]!], parallel);
  t.teardown(() => clients.stop());

  return {
    publics,
    privates,
    async restartPublic(index) {
      const old = publics[index]!;
      const next = startPublic(index);
      publics[index] = next;
      await next.line(({ msg }) => msg === "taken over");
      t.is(await old.exited, 0);
    },
    async restartPrivate(index) {
      const old = privates[index]!;
      old.kill("SIGTERM");
      t.is(await old.exited, 0);
      privates[index] = await startPrivate(index);
    },
    clients,
  };
}

/** New connections all the time, each with a request whose answer is compared. */
function clientsUnderWay(certificates: TestCertificates, ports: readonly number[], parallel: number): ClientsUnderWay {
  let served = 0;
  let stopping = false;
  const failures: string[] = [];
  const waiting = new Set<() => void>();

  async function request(port: number): Promise<void> {
    const startedAt = performance.now();
    const socket = tlsConnect({ host: "127.0.0.1", port, servername: serverName, ca: certificates.ca });
    let trouble = "";
    socket.on("error", (error: NodeJS.ErrnoException) => {
      trouble = error.code ?? error.message;
    });
    try {
      await Promise.race([once(socket, "secureConnect"), once(socket, "close").then(() => Promise.reject(trouble))]);
      const message = randomBytes(randomInt(1, 2000)).toString("hex");
      if ((await ask(socket, message)) !== message) throw new Error("other bytes came back");
      served++;
    } catch (error) {
      failures.push(
        `${new Date().toISOString()} port ${port}, ${Math.round(performance.now() - startedAt)} ms: ${trouble || error}`,
      );
    }
    socket.destroy();
    for (const look of [...waiting]) look();
  }

  const loops = Array.from({ length: parallel }, async (_, at) => {
    for (let turn = at; !stopping; turn++) await request(ports[turn % ports.length]!);
  });
  return {
    get served() {
      return served;
    },
    failures,
    more(count) {
      const until = served + count;
      return new Promise((resolve) => {
        const look = () => {
          if (served < until && failures.length === 0) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
      });
    },
    async stop() {
      stopping = true;
      await Promise.all(loops);
    },
  };
}
