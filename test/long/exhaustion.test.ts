import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { connect, type TLSSocket } from "node:tls";
import test, { type ExecutionContext } from "ava";
import { loadLibc } from "../../src/transport/epoll/libc.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { ask } from "../harness/clients.js";
import { echoServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { freePorts, type ProxyProcess, ready, runProxyProcess } from "../harness/processes.js";
import { until } from "../harness/until.js";

// A proxy with few descriptors, and more clients than they are enough for.

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const descriptors = 160;
const clients = 150;
const starvedForMs = 3000;
const recoveryMs = 10_000;
/** While nobody is served or refused for so long, nothing is under way. */
const quietMs = 3500;

/** CPU time that a process has used, in milliseconds: `utime` and `stime` of proc_pid_stat(5), in ticks of 10 ms. */
function cpuMs({ pid }: ProxyProcess): number {
  const [, fields] = /\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))!;
  const [user, system] = fields!.split(" ").slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}

async function scene(t: ExecutionContext, engine: "epoll" | "node", starved: "public" | "private") {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const [tls, rendezvous, mesh] = (await freePorts(3)) as [number, number, number];
  const limited = (role: string) => (role === starved ? { descriptors } : {});
  const transport = { engine, workers: 2 };
  const publicProxy = runProxyProcess(
    t,
    "public",
    {
      name: "public-proxy",
      tls: { listen: `127.0.0.1:${tls}` },
      rendezvous: { listen: `127.0.0.1:${rendezvous}` },
      mesh: { listen: `127.0.0.1:${mesh}`, ...certificates.files("public-proxy-1") },
      grants: [{ identity: "private-proxy-1", names: [serverName] }],
      transport,
    },
    limited("public"),
  );
  await ready(publicProxy);
  const privateProxy = runProxyProcess(
    t,
    "private",
    {
      name: "private-proxy",
      mesh: { publics: [`127.0.0.1:${mesh}`], ...certificates.files("private-proxy-1") },
      targets: [{ names: [serverName], address: `127.0.0.1:${server.port}` }],
      pool: { maxIdle: 0 },
      transport,
    },
    limited("private"),
  );
  await publicProxy.line((line) => line.msg === "name announced");
  return { port: tls, victim: starved === "public" ? publicProxy : privateProxy };
}

/** The first client that is served again; those that are turned away meanwhile (node engine, private proxy) come again. */
async function recovered(port: number): Promise<TLSSocket> {
  const giveUpAt = performance.now() + recoveryMs;
  for (;;) {
    const socket = connect({ host: "127.0.0.1", port, servername: serverName, ca: certificates.ca });
    const isServed = await once(socket, "secureConnect", { signal: AbortSignal.timeout(recoveryMs) }).then(
      () => true,
      () => false,
    );
    socket.on("error", () => {});
    if (isServed) return socket;
    socket.destroy();
    if (performance.now() > giveUpAt) throw new Error(`nobody was served within ${recoveryMs} ms`);
    await pause(100);
  }
}

function epollWorks(): boolean {
  try {
    loadLibc();
    return true;
  } catch {
    return false;
  }
}

const onLinux = process.platform === "linux" ? test.serial : test.serial.skip;
for (const starved of ["public", "private"] as const) {
  for (const engine of ["epoll", "node"] as const) {
    onLinux(
      `a ${starved} proxy out of descriptors serves up to its limit, does not spin, and recovers (${engine})`,
      async (t) => {
        if (engine === "epoll" && !epollWorks()) return void t.pass();
        const { port, victim } = await scene(t, engine, starved);
        if (starved === "public") {
          const { limit, needed } = await victim.line((line) => /fewer descriptors/.test(String(line.msg)));
          t.is(limit, descriptors);
          t.true((needed as number) > 20_000, String(needed));
        }
        const served: TLSSocket[] = [];
        let refused = 0;
        const all = Array.from({ length: clients }, () => {
          const socket = connect({ host: "127.0.0.1", port, servername: serverName, ca: certificates.ca });
          socket.once("secureConnect", () => served.push(socket));
          socket.once("close", () => refused++);
          socket.on("error", () => {});
          return socket;
        });
        t.teardown(() => {
          for (const socket of all) socket.destroy();
        });
        if (starved === "public") {
          const { detail } = await victim.line((line) => line.msg === "accepting paused");
          t.regex(String(detail), /ulimit -n, LimitNOFILE/);
        }
        // Until everybody has been served, refused or left in the queue.
        await until(
          () => served.length >= 20,
          () => served.length,
        );
        const heard = () => served.length + refused;
        for (let before = -1; before !== heard(); ) {
          before = heard();
          await pause(quietMs);
        }

        const before = cpuMs(victim);
        await pause(starvedForMs);
        const used = cpuMs(victim) - before;
        t.log(
          `${served.length} of ${clients} served with ${descriptors} descriptors, ${refused} refused, the others wait; ${used} ms of CPU in ${starvedForMs} ms`,
        );
        t.true(served.length >= 20 && served.length < clients);
        t.true(used < starvedForMs / 4, `${used} ms of CPU in ${starvedForMs} ms`);
        for (const client of served) t.is(await ask(client, "still served"), "still served");

        for (const socket of all) socket.destroy();
        const client = await recovered(port);
        t.is(await ask(client, "recovered"), "recovered");
        client.destroy();
        t.is(victim.child.exitCode, null);
        t.false(
          victim.lines.some(({ fault }) => fault !== undefined),
          JSON.stringify(victim.lines.find(({ fault }) => fault !== undefined)),
        );
      },
    );
  }
}
