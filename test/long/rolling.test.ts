import test from "ava";
import { type TestCertificates, testCertificates } from "../harness/certificates.js";
import { rollingScene } from "../harness/rolling.js";

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const rounds = 5;

test("every proxy is restarted five times, one after another, under 25 clients at a time, and no request fails", async (t) => {
  t.timeout(600_000);
  const scene = await rollingScene(t, certificates, { parallel: 25 });
  for (let round = 0; round < rounds; round++) {
    for (const index of [0, 1]) {
      await scene.restartPublic(index);
      await scene.clients.more(250);
      await scene.restartPrivate(index);
      await scene.clients.more(250);
    }
  }
  await scene.clients.stop();
  t.deepEqual(scene.clients.failures, []);
  t.log(`${scene.clients.served} requests`);
});
