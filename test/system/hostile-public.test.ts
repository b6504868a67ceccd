import { once } from "node:events";
import test, { type ExecutionContext } from "ava";
import { encodeProxyV2 } from "../../src/rendezvous/proxy-v2-encode.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { untilClosed } from "../harness/clients.js";
import { type InternalServer, plainServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { type RunningPrivate, startPrivate } from "../harness/pair.js";
import { type ScriptedPublic, scriptedPublic } from "../harness/scripted-public.js";
import { address } from "../harness/settings.js";

// A private proxy attached to a public proxy that means it ill. What it dials, holds and keeps must stay bounded.

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

interface Scene {
  readonly target: InternalServer;
  readonly hostile: ScriptedPublic;
  readonly victim: RunningPrivate;
}

/** Attached and welcomed; the one target is announced under id 1. */
async function scene(
  t: ExecutionContext,
  targetChanges: Partial<Parameters<typeof startPrivate>[3][0]> = {},
): Promise<Scene> {
  const target = await plainServer((socket) => socket.pipe(socket));
  t.teardown(() => target.close());
  const hostile = await scriptedPublic(t, certificates);
  const victim = await startPrivate(t, certificates, [hostile.mesh], [{ address: target.address, ...targetChanges }]);
  await hostile.attached();
  hostile.welcome();
  t.is((await hostile.message()).type, "announce");
  return { target, hostile, victim };
}

function header(changes: { serverName?: string; announcementId?: number } = {}): Uint8Array {
  return encodeProxyV2({
    source: { family: "ipv4", address: "192.0.2.1", port: 1 },
    destination: { family: "ipv4", address: "192.0.2.2", port: 2 },
    connectionId: "scripted-1",
    announcementId: 1,
    serverName,
    ...changes,
  });
}

/** A PROXY header whose server name is longer than any honest one. */
function headerWithLongName(name: string): Uint8Array {
  const short = Buffer.from(header({ serverName: "x" }));
  const at = short.indexOf(Buffer.from([2, 0, 1, 0x78]));
  const tlv = Buffer.alloc(3);
  tlv[0] = 2;
  tlv.writeUInt16BE(name.length, 1);
  const long = Buffer.concat([short.subarray(0, at), tlv, Buffer.from(name), short.subarray(at + 4)]);
  long.writeUInt16BE(long.length - 16, 14);
  return long;
}

test("a header for another announcement or another name is declined, and the target learns nothing", async (t) => {
  const { hostile, target } = await scene(t);
  for (const wrong of [{ announcementId: 2 }, { serverName: "other.internal-server.local" }]) {
    hostile.link.send({ type: "offers", offers: [hostile.offer()] });
    const dialBack = await hostile.dialBack();
    dialBack.write(header(wrong));
    t.deepEqual([...(await untilClosed(dialBack))], [4]);
  }
  await gone(() => target.open);
  t.pass();
});

test("a server name that no header can carry ends the rendezvous and leaves no connection behind", async (t) => {
  const { hostile, target, victim } = await scene(t, { names: ["*"], proxyProtocol: "v2" });
  const name = "x".repeat(300);
  hostile.link.send({ type: "offers", offers: [hostile.offer({ serverName: name })] });
  const ended = victim.log.line(({ message }) => message.startsWith("connection not served"));
  const dialBack = await Promise.race([hostile.dialBack(), ended.then(() => undefined)]);
  if (dialBack !== undefined) {
    dialBack.write(headerWithLongName(name));
    await untilClosed(dialBack);
  }
  await ended;
  await gone(() => target.open);
  t.is(victim.proxy.status().connections.live, 0);
});

test("results that nobody asked for are neither kept nor logged, and the same result is logged once", async (t) => {
  const { hostile, victim } = await scene(t);
  const result = (announcementId: number, name: string) => ({
    type: "announceResult" as const,
    announcementId,
    results: [{ name, status: "accepted" as const, detail: "" }],
  });
  for (let at = 0; at < 500; at++) {
    hostile.link.send(result(at + 2, serverName));
    hostile.link.send(result(1, `${at}.internal-server.local`));
    hostile.link.send(result(1, serverName));
  }
  hostile.link.send({ type: "offers", offers: [hostile.offer({ announcementId: 7 })] });
  t.is((await hostile.message()).type, "offerReply");
  t.is(victim.log.lines.filter(({ message }) => message === "name announced").length, 1);
});

test("a public proxy that advertises endless endpoints is not attached to", async (t) => {
  const hostile = await scriptedPublic(t, certificates);
  const victim = await startPrivate(t, certificates, [hostile.mesh], [{ address: address("127.0.0.1:9") }]);
  await hostile.attached();
  hostile.welcome(Array.from({ length: 10_000 }, (_, at) => `192.0.2.1:${at + 1}`));
  const line = await victim.log.line(({ message }) => message === "not attached, trying again");
  t.regex(String(line.fields.why), /rendezvous_endpoints/);
  t.false(victim.log.lines.some(({ fields }) => fields.reason === "endpoint_refused"));
});

test("a private proxy that attaches while it is being stopped announces nothing, and declines what it is offered", async (t) => {
  const target = await plainServer((socket) => socket.pipe(socket));
  t.teardown(() => target.close());
  const [one, other] = [await scriptedPublic(t, certificates), await scriptedPublic(t, certificates)];
  const victim = await startPrivate(t, certificates, [one.mesh, other.mesh], [{ address: target.address }]);
  await Promise.all([one.attached(), other.attached()]);
  one.welcome();
  t.is((await one.message()).type, "announce");
  one.link.send({ type: "offers", offers: [one.offer()] });
  const live = await one.dialBack();
  live.write(header());
  await once(live, "data");
  const stopping = victim.proxy.stop();
  other.welcome();
  other.link.send({ type: "offers", offers: [other.offer()] });
  t.like(await other.message(), { type: "offerReply", reason: "shutting_down" });
  live.destroy();
  await stopping;
});

async function gone(count: () => number): Promise<void> {
  const giveUpAt = performance.now() + 5000;
  while (count() > 0) {
    if (performance.now() > giveUpAt) throw new Error(`${count()} are left`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("no log line of a private proxy holds a token, whatever became of the offer", async (t) => {
  const { hostile, victim } = await scene(t);
  const [served, refused] = [hostile.offer(), hostile.offer({ announcementId: 99 })];
  hostile.link.send({ type: "offers", offers: [served, refused] });
  const dialBack = await hostile.dialBack();
  dialBack.write(header());
  t.is(String(await once(dialBack, "data").then(([verdict]) => verdict[0])), "1");
  dialBack.resetAndDestroy();
  t.is((await hostile.message()).type, "offerReply");
  await victim.log.line(({ message }) => message === "connection");
  const log = victim.log.text();
  for (const { token } of [served, refused]) {
    const bytes = Buffer.from(token);
    for (const form of [
      bytes.toString("hex"),
      bytes.toString("base64"),
      bytes.toString("base64url"),
      [...bytes].join(","),
    ]) {
      t.false(log.includes(form));
    }
  }
});
