import test from "ava";
import { type TestCertificates, testCertificates } from "../../harness/certificates.js";
import { ask, tlsClient } from "../../harness/clients.js";
import { faultLink } from "../../harness/fault-link.js";
import { echoServer } from "../../harness/internal-server.js";
import { assertNothingLeft } from "../../harness/leaks.js";
import type { MemoryLog } from "../../harness/memory-log.js";
import { startPrivate, startPublic } from "../../harness/pair.js";
import { address } from "../../harness/settings.js";
import { until } from "../../harness/until.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const allNames = 10_000;
const limitMs = 2000;

/** Counts the names that the log says are accepted, from a line on. Looks at each line once. */
function countAccepted({ lines }: MemoryLog, from: number): () => number {
  let seen = from;
  let count = 0;
  return () => {
    for (; seen < lines.length; seen++) {
      const { message, fields } = lines[seen]!;
      if (message === "name announced") count += (fields.names as number | undefined) ?? 1;
    }
    return count;
  };
}

for (const perTarget of [1000, 1]) {
  test.serial(
    `10,000 names, ${perTarget} for each target, are announced anew within two seconds of a loss`,
    async (t) => {
      const server = await echoServer(certificates);
      t.teardown(() => server.close());
      const publicProxy = await startPublic(t, certificates, {
        grants: [{ identity: "private-proxy-1", names: ["*.internal-server.local"] }],
        log: { level: "info" },
      });
      const link = await faultLink(t, Number(publicProxy.mesh.split(":")[1]));
      const name = (n: number) => `n${n}.internal-server.local`;
      const targets = Array.from({ length: allNames / perTarget }, (_, target) => ({
        names: Array.from({ length: perTarget }, (_, n) => name(target * perTarget + n)),
        address: address(`127.0.0.1:${server.port}`),
      }));
      const privateProxy = await startPrivate(t, certificates, [`127.0.0.1:${link.port}`], targets, {
        mesh: { rendezvous: ["127.0.0.1"] },
      });
      const { log } = privateProxy;
      const atFirst = countAccepted(log, 0);
      await until(() => atFirst() === allNames, atFirst);

      const { length } = log.lines;
      const again = countAccepted(log, length);
      link.cut();
      let welcomedAt: number | undefined;
      let cpuAtWelcome = process.cpuUsage();
      await until(() => {
        if (welcomedAt === undefined && log.lines.slice(length).some(({ message }) => message === "attached")) {
          welcomedAt = performance.now();
          cpuAtWelcome = process.cpuUsage();
        }
        return again() === allNames;
      }, again);
      const ms = performance.now() - (welcomedAt ?? 0);
      const { user, system } = process.cpuUsage(cpuAtWelcome);
      const cpuMs = (user + system) / 1000;
      t.log(`${Math.round(ms)} ms from the welcome to the last result, ${Math.round(cpuMs)} ms of CPU`);
      // Both proxies are in this process. On a machine that is busy with others, its CPU time is what it would take alone.
      t.true(Math.min(ms, cpuMs) < limitMs, `${ms} ms, ${cpuMs} ms of CPU`);

      for (const n of [0, allNames - 1]) {
        const client = await tlsClient(publicProxy.clientPort, certificates, { servername: name(n) });
        t.is(await ask(client, "here"), "here");
        client.destroy();
      }
    },
  );
}
