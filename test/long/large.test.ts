import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import test from "ava";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { tlsClient } from "../harness/clients.js";
import { tlsServer } from "../harness/internal-server.js";
import { freePorts, ready, runProxyProcess } from "../harness/processes.js";

const transferBytes = 1024 * 1024 * 1024;

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

/** Writes `transferBytes` and resolves with their digest. */
async function send(socket: NodeJS.WritableStream): Promise<string> {
  const digest = createHash("sha256");
  const block = randomBytes(1024 * 1024);
  for (let left = transferBytes; left > 0; left -= block.length) {
    block.writeUInt32LE(left / block.length, 0);
    const copy = Buffer.from(block);
    digest.update(copy);
    if (!socket.write(copy)) await once(socket, "drain");
  }
  socket.end();
  return digest.digest("hex");
}

/** By events: iterating over a socket would destroy it at its end, while the other direction still flows. */
async function receive(socket: NodeJS.ReadableStream): Promise<{ bytes: number; digest: string }> {
  const digest = createHash("sha256");
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    digest.update(chunk);
    bytes += chunk.length;
  });
  await once(socket, "end");
  return { bytes, digest: digest.digest("hex") };
}

test("1 GiB goes up and 1 GiB comes down at the same time, unchanged, through real processes", async (t) => {
  let atServer!: Promise<[{ bytes: number; digest: string }, string]>;
  const server = await tlsServer(certificates, (socket) => {
    atServer = Promise.all([receive(socket), send(socket)]);
  });
  t.teardown(() => server.close());
  const [tls, rendezvous, mesh] = await freePorts(3);
  const publicProxy = runProxyProcess(t, "public", {
    name: "public-proxy",
    tls: { listen: `127.0.0.1:${tls}` },
    rendezvous: { listen: `127.0.0.1:${rendezvous}` },
    mesh: { listen: `127.0.0.1:${mesh}`, ...certificates.files("public-proxy-1") },
    grants: [{ identity: "private-proxy-1", names: [serverName] }],
  });
  await ready(publicProxy);
  runProxyProcess(t, "private", {
    name: "private-proxy-1",
    mesh: { publics: [`127.0.0.1:${mesh}`], ...certificates.files("private-proxy-1") },
    targets: [{ names: [serverName], address: `127.0.0.1:${server.port}` }],
  });
  const client = await tlsClient(tls!, certificates, { allowHalfOpen: true } as object);
  const [down, sentUp] = await Promise.all([receive(client), send(client)]);
  const [up, sentDown] = await atServer;
  t.deepEqual(up, { bytes: transferBytes, digest: sentUp });
  t.deepEqual(down, { bytes: transferBytes, digest: sentDown });
  const line = await publicProxy.line((candidate) => candidate.msg === "connection");
  t.true((line.bytesUp as number) > transferBytes);
  t.true((line.bytesDown as number) > transferBytes);
});
