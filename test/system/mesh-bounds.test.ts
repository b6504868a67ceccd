import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import test, { type ExecutionContext } from "ava";
import { Mesh } from "../../src/mesh/definition.js";
import type { FromPrivate as WireFromPrivate } from "../../src/mesh/generated/rendezvous/v1/FromPrivate.js";
import { type MeshServerOptions, startMeshServer } from "../../src/mesh/server.js";
import { type TestCertificates, testCertificates } from "../harness/certificates.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { address } from "../harness/settings.js";

// Attached peers that mean it ill, below the level of either proxy.

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

/** A mesh server whose streams go to `attach`, and a raw stream to it. grpc-js reads ahead without end; this one does not. */
async function stream(t: ExecutionContext, attach: MeshServerOptions["attach"], refused: MeshServerOptions["refused"]) {
  const { certificate, key, ca } = certificates.files("public-proxy-1");
  const server = await startMeshServer({
    listen: [address("127.0.0.1:0")],
    pem: { certificate: readFileSync(certificate), key: readFileSync(key), ca: readFileSync(ca) },
    keepalive: { intervalMs: 5000, timeoutMs: 5000 },
    attach,
    refused,
  });
  const session = connect(`https://${server.addresses[0]}`, {
    ca: certificates.ca,
    ...certificates.pem("private-proxy-1"),
  });
  session.on("error", () => {});
  const raw = session.request({
    ":method": "POST",
    ":path": "/rendezvous.v1.Mesh/Attach",
    "content-type": "application/grpc",
    te: "trailers",
  });
  raw.on("error", () => {});
  t.teardown(async () => {
    session.destroy();
    await server.close();
  });
  return raw;
}

/** As gRPC frames a message. */
function framed(message: WireFromPrivate): Buffer {
  const body = Mesh.service.Attach.requestSerialize(message);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

test("a peer that announces without end and reads no answer is not read either, and loses nothing when it does read", async (t) => {
  const announcements = 3000;
  let received = 0;
  let most = 0;
  const detail = "x".repeat(1000);
  const raw = await stream(
    t,
    (link) => ({
      received() {
        const announcementId = received++;
        link.send({ type: "announceResult", announcementId, results: [{ name: "a", status: "denied", detail }] });
        most = Math.max(most, link.backlog);
      },
      closed() {},
    }),
    () => {},
  );
  const announcement = framed({ announce: { announcementId: 1, names: ["x".repeat(1000)] } });
  for (let at = 0; at < announcements; at++) raw.write(announcement);
  await stalled(() => received);
  t.true(received < announcements / 2, `${received} were read`);
  let bytes = 0;
  raw.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  while (bytes < announcements * 1000 || received < announcements) await once(raw, "data");
  t.is(received, announcements);
  t.true(most < 50, `${most} answers were queued at once`);
});

const breaches: readonly (readonly [string, WireFromPrivate])[] = [
  [
    "more application protocols than exist",
    { announce: { announcementId: 1, names: [], alpn: Array.from({ length: 65 }, () => "h2") } },
  ],
  ["control characters where a terminal may show them", hello("\u001b[2Jproxy")],
  ["an instance id of the wrong length", { hello: { ...hello("p").hello, instanceId: Buffer.alloc(15) } }],
];
for (const [what, message] of breaches) {
  test(`a peer that sends ${what} breaks the protocol, and its stream is ended`, async (t) => {
    const refusals: string[] = [];
    const raw = await stream(
      t,
      () => ({ received: () => t.fail("it was let through"), closed() {} }),
      (reason) => refusals.push(reason),
    );
    raw.resume();
    const ended = once(raw, "end");
    raw.write(framed(message));
    await ended;
    t.deepEqual(refusals, ["mesh_protocol_violated"]);
  });
}

function hello(name: string) {
  return { hello: { protocolVersion: 1, name, instanceId: Buffer.alloc(16), softwareVersion: "0" } };
}

/** Resolves when a figure has not changed for a while. */
async function stalled(figure: () => number): Promise<void> {
  for (let last = -1; last !== figure() || last === 0; ) {
    last = figure();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}
