import { once } from "node:events";
import type { Socket } from "node:net";
import test from "ava";
import { encodePreface } from "../../src/rendezvous/preface.js";
import { decodeProxyHeader } from "../../src/rendezvous/proxy-protocol.js";
import { encodeProxyV2 } from "../../src/rendezvous/proxy-v2-encode.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { clientHello, tcpClient, untilClosed } from "../harness/clients.js";
import { plainServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { announced, startPrivate, startPublic } from "../harness/pair.js";
import { scriptedPrivate } from "../harness/scripted-private.js";
import { scriptedPublic } from "../harness/scripted-public.js";

// No byte may depend on where a segment ends: preface, header, hello, verdict and what follows come in any cut.

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const answer = Buffer.from("the server speaks");
const taken = Buffer.from([1]);

/** Writes each part in a segment of its own, as far as one side can see to that. */
async function inParts(socket: Socket, parts: readonly Uint8Array[]): Promise<void> {
  for (const part of parts) {
    await new Promise((resolve) => socket.write(part, resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const byteByByte = (bytes: Uint8Array) => Array.from(bytes, (byte) => Uint8Array.of(byte));

const dialBackCuts: Record<string, (preface: Uint8Array) => readonly Uint8Array[]> = {
  "preface, verdict and the server's first bytes in one segment": (preface) => [
    Buffer.concat([preface, taken, answer]),
  ],
  "the verdict together with the server's first bytes": (preface) => [preface, Buffer.concat([taken, answer])],
  "every byte in a segment of its own": (preface) => byteByByte(Buffer.concat([preface, taken, answer])),
};

for (const [what, cut] of Object.entries(dialBackCuts)) {
  test(`the public proxy loses and doubles nothing: ${what}`, async (t) => {
    const running = await startPublic(t, certificates);
    const attached = await scriptedPrivate(t, certificates, running, "private-proxy-1");
    attached.announce(1, [serverName]);
    await announced(running, serverName);
    const hello = await clientHello(serverName);
    const client = await tcpClient(running.clientPort);
    const atClient = untilClosed(client);
    // With the hello comes what a client may send early.
    client.write(Buffer.concat([hello, Buffer.from("early")]));
    const { token } = await attached.offer();
    const dialBack = await tcpClient(running.rendezvousPort);
    const atDialBack = untilClosed(dialBack);
    await inParts(dialBack, cut(encodePreface({ kind: "claim", token })));
    while (running.proxy.status().bytes.down < answer.length) await new Promise((resolve) => setImmediate(resolve));
    client.write("late");
    client.end();
    const bytes = await atDialBack;
    const header = decodeProxyHeader(bytes);
    t.is(header.status, "header");
    if (header.status !== "header") return;
    t.deepEqual(bytes.subarray(header.length), Buffer.concat([hello, Buffer.from("earlylate")]));
    t.deepEqual(await atClient, answer);
  });
}

const header = encodeProxyV2({
  source: { family: "ipv4", address: "192.0.2.1", port: 1 },
  destination: { family: "ipv4", address: "192.0.2.2", port: 2 },
  connectionId: "scripted-1",
  announcementId: 1,
  serverName,
});
const sent = Buffer.from("a hello, and what came with it");
const headerCuts: Record<string, readonly Uint8Array[]> = {
  "header and hello in one segment": [Buffer.concat([header, sent])],
  "header and hello apart": [header, sent],
  "every byte in a segment of its own": byteByByte(Buffer.concat([header, sent])),
};

for (const [what, parts] of Object.entries(headerCuts)) {
  test(`the private proxy loses and doubles nothing: ${what}`, async (t) => {
    const atTarget: Buffer[] = [];
    // A server that speaks first, as soon as it is connected.
    const target = await plainServer((socket) => {
      socket.write(answer);
      socket.on("data", (chunk) => atTarget.push(chunk));
      socket.on("end", () => socket.end());
    });
    t.teardown(() => target.close());
    const hostile = await scriptedPublic(t, certificates);
    await startPrivate(t, certificates, [hostile.mesh], [{ address: target.address }]);
    await hostile.attached();
    hostile.welcome();
    await hostile.message();
    hostile.link.send({ type: "offers", offers: [hostile.offer()] });
    const dialBack = await hostile.dialBack();
    const back = untilClosed(dialBack);
    const verdict = once(dialBack, "data");
    await inParts(dialBack, parts);
    await verdict;
    dialBack.end("the end");
    t.deepEqual(await back, Buffer.concat([taken, answer]));
    t.deepEqual(Buffer.concat(atTarget), Buffer.concat([sent, Buffer.from("the end")]));
  });
}
