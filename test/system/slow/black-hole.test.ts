import test from "ava";
import { serverName, type TestCertificates, testCertificates } from "../../harness/certificates.js";
import { ask, tlsClient } from "../../harness/clients.js";
import { type Direction, faultLink } from "../../harness/fault-link.js";
import { echoServer } from "../../harness/internal-server.js";
import { assertNothingLeft } from "../../harness/leaks.js";
import type { LogLine, MemoryLog } from "../../harness/memory-log.js";
import { announced, startPrivate, startPublic } from "../../harness/pair.js";
import { until } from "../../harness/until.js";

// Links that swallow everything, in one direction or in both, with the keepalive that is the default.

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

/** `mesh.keepalive`: the interval and the timeout, and a second for a machine that has much else to do. */
const noticedWithinMs = 5000 + 5000 + 1000;
const parked = 3;

for (const direction of ["up", "down", "both"] as const satisfies readonly Direction[]) {
  test(`a link that swallows what goes ${direction} is noticed within mesh.keepalive on both sides, dial-backs and all`, async (t) => {
    const server = await echoServer(certificates);
    t.teardown(() => server.close());
    // Where private proxies dial back to is known before the public proxy is.
    const rendezvous = { port: 0 };
    const rendezvousLink = await faultLink(t, () => rendezvous.port);
    const publicProxy = await startPublic(t, certificates, {
      rendezvous: { advertise: [`127.0.0.1:${rendezvousLink.port}`], startupHoldMs: 10_000 },
    });
    rendezvous.port = publicProxy.rendezvousPort;
    const meshLink = await faultLink(t, () => Number(publicProxy.mesh.split(":")[1]));
    const privateProxy = await startPrivate(
      t,
      certificates,
      [`127.0.0.1:${meshLink.port}`],
      [{ address: server.address }],
      { pool: { minIdle: parked, maxIdle: parked } },
    );
    await announced(publicProxy, serverName);
    const pooled = () => [publicProxy, privateProxy].map(({ proxy }) => proxy.status().pooledDialBacks);
    await until(() => pooled().every((count) => count === parked), pooled);

    const since = performance.now();
    meshLink.pause(direction);
    rendezvousLink.pause(direction);
    const noticed = (log: MemoryLog, fits: (line: LogLine) => boolean) =>
      until(() => log.lines.some(fits)).then(() => Math.round(performance.now() - since));
    const [publicMs, privateMs] = await Promise.all([
      noticed(publicProxy.log, ({ message }) => message === "private proxy detached"),
      noticed(privateProxy.log, ({ fields }) => fields.reason === "mesh_lost"),
    ]);
    t.log(`noticed after ${publicMs} ms by the public proxy, after ${privateMs} ms by the private proxy`);
    t.true(Math.max(publicMs, privateMs) < noticedWithinMs);
    await until(() => pooled().every((count) => count === 0), pooled);

    const waiting = tlsClient(publicProxy.clientPort, certificates);
    const healed = performance.now();
    meshLink.resume();
    rendezvousLink.resume();
    const client = await waiting;
    t.is(await ask(client, "healed"), "healed");
    t.log(`served ${Math.round(performance.now() - healed)} ms after it healed`);
    client.destroy();
    await until(() => pooled().every((count) => count >= parked - 1), pooled);
  });
}
