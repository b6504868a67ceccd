import { once } from "node:events";
import test, { type ExecutionContext } from "ava";
import { encodePreface } from "../../src/rendezvous/preface.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { alertErrors, clientHello, tcpClient, tlsError, untilClosed } from "../harness/clients.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { announced, type RunningPublic, startPublic } from "../harness/pair.js";
import { type ScriptedPrivate, scriptedPrivate } from "../harness/scripted-private.js";

// Every wait of a client ends by its deadline, whatever the private proxies do.

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const times = { attemptTimeoutMs: 1000, deadlineMs: 2500, startupHoldMs: 1000 };
/** What a busy machine may add: this tells a wait that ends from one that does not, and no more. */
const slackMs = 4000;

async function scene(
  t: ExecutionContext,
  count = 1,
): Promise<{ running: RunningPublic; privates: readonly ScriptedPrivate[] }> {
  const running = await startPublic(t, certificates, { tls: { helloTimeoutMs: 1000 }, rendezvous: times });
  const privates: ScriptedPrivate[] = [];
  for (let at = 0; at < count; at++) {
    const attached = await scriptedPrivate(t, certificates, running, "private-proxy-1");
    attached.announce(1, [serverName]);
    privates.push(attached);
  }
  await announced(running, serverName);
  return { running, privates };
}

async function took(t: ExecutionContext, work: Promise<unknown>, atLeastMs: number, atMostMs: number): Promise<void> {
  const begun = performance.now();
  await work;
  const ms = performance.now() - begun;
  t.true(ms >= atLeastMs - 20 && ms <= atMostMs + slackMs, `${ms} ms, expected ${atLeastMs} to ${atMostMs}`);
}

test("nobody dials back: one attempt's time, then alert 80", async (t) => {
  const { running } = await scene(t);
  const alert = tlsError(running.clientPort, certificates);
  await took(t, alert, 1000, 1000);
  t.is(await alert, alertErrors.internalError);
});

test("many private proxies that never answer: no longer than the deadline for all attempts", async (t) => {
  const { running } = await scene(t, 6);
  while (running.proxy.status().announcements.length < 6) await new Promise((resolve) => setImmediate(resolve));
  await took(t, tlsError(running.clientPort, certificates), 2500, 2500);
  t.is(running.proxy.status().refused.nobody_answered, 1);
});

test("a dial-back that gives no verdict: closed with the attempt", async (t) => {
  const { running, privates } = await scene(t);
  const alert = tlsError(running.clientPort, certificates);
  const { token } = await privates[0]!.offer();
  const dialBack = await tcpClient(running.rendezvousPort);
  dialBack.write(encodePreface({ kind: "claim", token }));
  await took(t, untilClosed(dialBack), 0, 1000);
  t.is(await alert, alertErrors.internalError);
});

for (const [when, verdict, atMostMs] of [
  ["without a verdict", undefined, 0],
  ["with a decline", 2, 0],
  ["with a verdict of the future", 0x7f, 0],
] as const) {
  test(`a dial-back that ends ${when}: the client is told at once`, async (t) => {
    const { running, privates } = await scene(t);
    const alert = tlsError(running.clientPort, certificates);
    const { token } = await privates[0]!.offer();
    const dialBack = await tcpClient(running.rendezvousPort);
    dialBack.write(encodePreface({ kind: "claim", token }));
    await once(dialBack, "data");
    dialBack.end(verdict === undefined ? Buffer.alloc(0) : Buffer.of(verdict));
    await took(t, alert, 0, atMostMs);
    t.is(await alert, alertErrors.internalError);
    dialBack.destroy();
  });
}

test("the session is lost while its client waits: held for the name's return, then alert 112", async (t) => {
  const { running, privates } = await scene(t);
  const alert = tlsError(running.clientPort, certificates);
  await privates[0]!.offer();
  void privates[0]!.close();
  await took(t, alert, 900, 1000);
  t.is(await alert, alertErrors.unrecognizedName);
});

test("a client that sends its hello a byte at a time gets no more time than any other", async (t) => {
  const { running } = await scene(t);
  const hello = await clientHello(serverName);
  const client = await tcpClient(running.clientPort);
  let at = 0;
  const trickle = setInterval(() => client.write(hello.subarray(at, ++at)), 10);
  t.teardown(() => clearInterval(trickle));
  await took(t, untilClosed(client), 900, 1000);
  t.is(running.proxy.status().refused.hello_timeout, 1);
});

test("a dial-back that sends its preface a byte at a time gets no more time than any other", async (t) => {
  const running = await startPublic(t, certificates, { rendezvous: { prefaceTimeoutMs: 600 } });
  const dialBack = await tcpClient(running.rendezvousPort);
  const preface = encodePreface({ kind: "claim", token: new Uint8Array(32) });
  let at = 0;
  const trickle = setInterval(() => dialBack.write(preface.subarray(at, ++at)), 20);
  t.teardown(() => clearInterval(trickle));
  await took(t, untilClosed(dialBack), 500, 600);
  t.is(running.proxy.status().refused.preface_timeout, 1);
});
