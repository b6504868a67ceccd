import test from "ava";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { clientHello, tcpClient, untilClosed } from "../harness/clients.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { announced, startPublic } from "../harness/pair.js";
import { scriptedPrivate } from "../harness/scripted-private.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

test("a client whose FIN comes right behind its hello has left: its offer is taken back at once, and nothing waits", async (t) => {
  const running = await startPublic(t, certificates);
  const attached = await scriptedPrivate(t, certificates, running, "private-proxy-1");
  attached.announce(1, [serverName]);
  await announced(running, serverName);
  const hello = await clientHello(serverName);
  const asked = performance.now();
  const clients = await Promise.all(Array.from({ length: 20 }, () => tcpClient(running.clientPort)));
  await Promise.all(
    clients.map((client) => {
      const closed = untilClosed(client);
      client.end(hello);
      return closed;
    }),
  );
  t.true(performance.now() - asked < running.settings.rendezvous.attemptTimeoutMs / 2);
  const { connections, refused } = running.proxy.status();
  t.is(connections.live, 0);
  t.is(refused.client_left, clients.length);
});
