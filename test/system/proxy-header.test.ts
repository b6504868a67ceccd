import { once } from "node:events";
import type { Socket } from "node:net";
import test from "ava";
import { decodeProxyHeader } from "../../src/rendezvous/proxy-protocol.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { clientHello, tcpClient } from "../harness/clients.js";
import { type InternalServer, plainServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { startPair } from "../harness/pair.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

/** A server that keeps what arrives first, until as many bytes as wanted are there. */
async function recorder(): Promise<{ server: InternalServer; first(bytes: number): Promise<Buffer> }> {
  let accepted!: (socket: Socket) => void;
  const socket = new Promise<Socket>((resolve) => {
    accepted = resolve;
  });
  const server = await plainServer((incoming) => {
    incoming.pause();
    accepted(incoming);
  });
  return {
    server,
    async first(bytes) {
      const incoming = await socket;
      let got = Buffer.alloc(0);
      while (got.length < bytes) {
        const chunk = incoming.read() as Buffer | null;
        if (chunk === null) await once(incoming, "readable");
        else got = Buffer.concat([got, chunk]);
      }
      incoming.write("answer");
      return got;
    },
  };
}

test("proxyProtocol v1: the target reads the client's address, then the client's bytes as they came", async (t) => {
  const target = await recorder();
  t.teardown(() => target.server.close());
  const pair = await startPair(t, certificates, [{ address: target.server.address, proxyProtocol: "v1" }]);
  const client = await tcpClient(pair.public.clientPort);
  const hello = await clientHello(serverName);
  client.write(hello);
  const line = `PROXY TCP4 127.0.0.1 127.0.0.1 ${client.localPort} ${pair.public.clientPort}\r\n`;
  const bytes = await target.first(line.length + hello.length);
  t.is(bytes.subarray(0, line.length).toString(), line);
  t.true(bytes.subarray(line.length).equals(hello));
  client.destroy();
});

test("proxyProtocol v2: address, server name and connection id; the announcement's id stays at home", async (t) => {
  const target = await recorder();
  t.teardown(() => target.server.close());
  const pair = await startPair(t, certificates, [{ address: target.server.address, proxyProtocol: "v2" }]);
  const client = await tcpClient(pair.public.clientPort);
  const hello = await clientHello(serverName);
  const answered = once(client, "data");
  client.write(hello);
  const bytes = await target.first(hello.length + 16 + 12 + 3 + serverName.length + 3 + 10);
  const decoded = decodeProxyHeader(bytes);
  if (decoded.status !== "header") return t.fail(decoded.status);
  const { header, length } = decoded;
  t.is(header.version, 2);
  t.deepEqual(header.source, { family: "ipv4", address: "127.0.0.1", port: client.localPort! });
  t.deepEqual(header.destination, { family: "ipv4", address: "127.0.0.1", port: pair.public.clientPort });
  t.is(header.serverName, serverName);
  t.is(header.announcementId, undefined);
  t.true(bytes.subarray(length).equals(hello));
  // Who leaves before has not been served.
  await answered;
  client.resetAndDestroy();
  const line = await pair.public.log.line(({ message }) => message === "connection");
  t.is(Buffer.from(header.connectionId!).toString(), String(line.fields.connection));
  const there = await pair.private.log.line(({ message }) => message === "connection");
  t.is(there.fields.connection, line.fields.connection);
});

test("proxyProtocol none: the client's bytes, and nothing before them", async (t) => {
  const target = await recorder();
  t.teardown(() => target.server.close());
  const pair = await startPair(t, certificates, [{ address: target.server.address }]);
  const client = await tcpClient(pair.public.clientPort);
  const hello = await clientHello(serverName);
  client.write(hello);
  t.true((await target.first(hello.length)).equals(hello));
  client.destroy();
});
