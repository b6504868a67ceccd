import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { type TestCertificates, testCertificates } from "../harness/certificates.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { startPrivate, startPublic } from "../harness/pair.js";
import { freePorts } from "../harness/processes.js";
import { address } from "../harness/settings.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const reconnect = { minMs: 100, maxMs: 2000 };
const refusedMs = 30_000;
const handshakeMs = 5000;

test("a public proxy that comes back after 30 s of refusals is attached to within reconnect.maxMs and a handshake", async (t) => {
  const [mesh] = (await freePorts(1)) as [number];
  const { log } = await startPrivate(t, certificates, [`127.0.0.1:${mesh}`], [{ address: address("127.0.0.1:1") }], {
    mesh: { reconnect },
  });
  await pause(refusedMs);
  const failures = log.lines.filter(({ fields }) => fields.reason === "mesh_unreachable");
  // gRPC's own backoff would be at 20 s and more by now.
  t.true(failures.length >= refusedMs / (reconnect.maxMs + 500), `${failures.length} attempts`);
  const pauses = failures.map(({ fields }) => fields.retryMs as number);
  t.true(Math.max(...pauses) <= reconnect.maxMs, String(pauses));
  t.true(Math.min(...pauses) >= reconnect.minMs, String(pauses));
  // Full jitter: those late pauses are anywhere between the two.
  t.true(Math.max(...pauses.slice(5)) - Math.min(...pauses.slice(5)) > 200, String(pauses));

  await startPublic(t, certificates, { mesh: { listen: [address(`127.0.0.1:${mesh}`)] } });
  const since = performance.now();
  await log.line(({ message }) => message === "attached");
  const ms = Math.round(performance.now() - since);
  t.log(`${failures.length} attempts in 30 s; attached after ${ms} ms`);
  t.true(ms < reconnect.maxMs + handshakeMs);
});
