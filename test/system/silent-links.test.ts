import test from "ava";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { ask, tlsClient } from "../harness/clients.js";
import { faultLink } from "../harness/fault-link.js";
import { echoServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { freePorts, ready, runProxyProcess } from "../harness/processes.js";
import { until } from "../harness/until.js";

// A stopped process keeps its connections and answers nothing: the same as a link that swallows packets.

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const keepalive = { intervalMs: 500, timeoutMs: 500 };

for (const stopped of ["private", "public"] as const) {
  test(`a ${stopped} proxy that falls silent is noticed within its keepalive, and serves again when it wakes`, async (t) => {
    const server = await echoServer(certificates);
    t.teardown(() => server.close());
    const [tls, rendezvous, mesh] = await freePorts(3);
    const publicProxy = runProxyProcess(t, "public", {
      name: "public-proxy",
      tls: { listen: `127.0.0.1:${tls}` },
      rendezvous: { listen: `127.0.0.1:${rendezvous}`, startupHoldMs: 3000 },
      mesh: { listen: `127.0.0.1:${mesh}`, ...certificates.files("public-proxy-1"), keepalive },
      grants: [{ identity: "private-proxy-1", names: [serverName] }],
    });
    await ready(publicProxy);
    const privateProxy = runProxyProcess(t, "private", {
      name: "private-proxy",
      mesh: { publics: [`127.0.0.1:${mesh}`], ...certificates.files("private-proxy-1"), keepalive },
      targets: [{ names: [serverName], address: `127.0.0.1:${server.port}` }],
    });
    const isAnnounced = (line: Record<string, unknown>) => line.msg === "name announced";
    await publicProxy.line(isAnnounced);
    const [victim, witness] = stopped === "private" ? [privateProxy, publicProxy] : [publicProxy, privateProxy];

    victim.kill("SIGSTOP");
    const since = performance.now();
    const waiting = stopped === "private" ? tlsClient(tls!, certificates) : undefined;
    await witness.line((line) => line.msg === "private proxy detached" || line.reason === "mesh_lost");
    const noticedMs = performance.now() - since;
    t.true(noticedMs < 3000, `${noticedMs} ms`);

    victim.kill("SIGCONT");
    // The client that came meanwhile is held for the name's return.
    const client = await (waiting ?? tlsClient(tls!, certificates));
    t.is(await ask(client, "awake"), "awake");
    client.destroy();
    t.is(victim.child.exitCode, null);
  });
}

for (const stopped of ["private", "public"] as const) {
  test(`a ${stopped} proxy that was suspended asks at once whether the other is there, however long its keepalive`, async (t) => {
    const [tls, rendezvous, mesh] = await freePorts(3);
    // By keepalive nobody would notice anything for an hour. When the victim wakes, its link answers nothing: as one does
    // whose machine has another address by now.
    const patient = { intervalMs: 3_600_000, timeoutMs: 1000 };
    const publicProxy = runProxyProcess(t, "public", {
      name: "public-proxy",
      tls: { listen: `127.0.0.1:${tls}` },
      rendezvous: { listen: `127.0.0.1:${rendezvous}` },
      mesh: { listen: `127.0.0.1:${mesh}`, ...certificates.files("public-proxy-1"), keepalive: patient },
      grants: [{ identity: "private-proxy-1", names: [serverName] }],
    });
    await ready(publicProxy);
    const link = await faultLink(t, mesh!);
    const privateProxy = runProxyProcess(t, "private", {
      name: "private-proxy",
      mesh: { publics: [`127.0.0.1:${link.port}`], ...certificates.files("private-proxy-1"), keepalive: patient },
      targets: [{ names: [serverName], address: "127.0.0.1:1" }],
    });
    await publicProxy.line((line) => line.msg === "name announced");
    const victim = stopped === "private" ? privateProxy : publicProxy;

    victim.kill("SIGSTOP");
    link.pause("both");
    await new Promise((resolve) => setTimeout(resolve, 5500));
    victim.kill("SIGCONT");
    const { suspendedMs } = await victim.line((line) => line.suspendedMs !== undefined);
    t.true((suspendedMs as number) > 3000, String(suspendedMs));
    const woken = performance.now();
    await victim.line((line) => line.reason === "mesh_lost" || line.msg === "private proxy detached");
    t.log(`noticed ${Math.round(performance.now() - woken)} ms after it woke`);
    const { why } = await victim.line((line) => line.reason === "mesh_lost" || line.msg === "private proxy detached");
    t.is(why, "no answer within 1000 ms");

    link.resume();
    const announced = () => publicProxy.lines.filter((line) => line.msg === "name announced").length;
    await until(() => announced() === 2, announced);
  });
}
