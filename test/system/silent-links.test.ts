import test from "ava";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { ask, tlsClient } from "../harness/clients.js";
import { echoServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { freePorts, ready, runProxyProcess } from "../harness/processes.js";

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
