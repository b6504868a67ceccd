import test from "ava";
import { runChaos } from "../chaos/run.js";
import { testCertificates } from "../harness/certificates.js";
import { enginesHere } from "../harness/engines-asked.js";

// What `make chaos` and `make soak` do at length (docs/chaos.md), for a moment, so that they go on working.

for (const engine of await enginesHere()) {
  test.serial(`20 s of faults at random corrupt nothing and leave nothing behind (${engine})`, async (t) => {
    const certificates = await testCertificates();
    t.teardown(() => certificates.remove());
    await certificates.issuePrivate("private-proxy-2");
    const say = (line: string) => t.log(line);
    const { violations, totals } = await runChaos({ engine, seconds: 20, seed: 20_261_121, certificates, say });
    t.deepEqual(violations, []);
    t.true(totals.operations > 0);
  });
}
