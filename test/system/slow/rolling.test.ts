import test from "ava";
import { type TestCertificates, testCertificates } from "../../harness/certificates.js";
import { assertNothingLeft } from "../../harness/leaks.js";
import { rollingScene } from "../../harness/rolling.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

test("every proxy is restarted, one after another, under 25 clients at a time, and no request fails", async (t) => {
  t.timeout(120_000);
  const scene = await rollingScene(t, certificates, { parallel: 25 });
  await scene.clients.more(50);
  for (const index of [0, 1]) {
    await scene.restartPublic(index);
    await scene.clients.more(50);
  }
  for (const index of [0, 1]) {
    await scene.restartPrivate(index);
    await scene.clients.more(50);
  }
  await scene.clients.stop();
  t.deepEqual(scene.clients.failures, []);
  t.log(`${scene.clients.served} requests`);
  for (const proxy of [...scene.publics, ...scene.privates]) t.is(proxy.printed, "");
});
