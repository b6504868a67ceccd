import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { testCertificates } from "../harness/certificates.js";
import { enginesHere } from "../harness/engines-asked.js";
import { runSoak } from "../soak/run.js";

for (const engine of await enginesHere()) {
  test.serial(`after half a minute of short and long connections everything is as before (${engine})`, async (t) => {
    const certificates = await testCertificates();
    const resultsDir = mkdtempSync(join(tmpdir(), "proxy-soak-results-"));
    t.teardown(() => {
      certificates.remove();
      rmSync(resultsDir, { recursive: true });
    });
    const say = (line: string) => t.log(line);
    const report = await runSoak({ engine, seconds: 30, seed: 20_261_121, certificates, resultsDir, say });
    t.deepEqual(report.violations, []);
    t.true(report.connections > 0);
    t.regex(readFileSync(report.chart, "utf8"), /<polyline class="public"/);
    t.is(JSON.parse(readFileSync(report.figures, "utf8")).connections, report.connections);
  });
}
