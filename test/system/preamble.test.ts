import { once } from "node:events";
import { connect as tlsConnect } from "node:tls";
import test from "ava";
import { encodeProxyV1 } from "../../src/rendezvous/proxy-v1.js";
import { encodeProxyV2 } from "../../src/rendezvous/proxy-v2-encode.js";
import { signature } from "../../src/rendezvous/proxy-v2-layout.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { ask, clientHello, tcpClient, untilClosed } from "../harness/clients.js";
import { echoServer, plainServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { startPair, startPublic } from "../harness/pair.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const source = { family: "ipv4", address: "203.0.113.7", port: 40_000 } as const;
const destination = { family: "ipv4", address: "198.51.100.1", port: 443 } as const;
const behindBalancer = { tls: { acceptProxyProtocol: ["127.0.0.0/8"] } };
const local = Buffer.concat([signature, Buffer.from([0x20, 0, 0, 0])]);

const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const gssEncRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30]);
const cancelRequest = Buffer.from([0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 2]);

for (const [version, header] of [
  ["v1", encodeProxyV1({ source, destination })],
  ["v2", encodeProxyV2({ source, destination })],
] as const) {
  test(`behind a load balancer that sends PROXY ${version}, the client's own address is passed on and logged`, async (t) => {
    const arrived: Buffer[] = [];
    const server = await plainServer((socket) =>
      socket.on("data", (chunk) => {
        arrived.push(chunk);
        socket.write("answer");
      }),
    );
    t.teardown(() => server.close());
    const pair = await startPair(t, certificates, [{ address: server.address, proxyProtocol: "v1" }], {
      public: behindBalancer,
    });
    const hello = await clientHello(serverName);
    for (const segments of [
      [Buffer.concat([header, hello])],
      [...Buffer.concat([header, hello])].map((byte) => Buffer.of(byte)),
    ]) {
      arrived.length = 0;
      const client = await tcpClient(pair.public.clientPort);
      client.setNoDelay(true);
      const answered = once(client, "data");
      for (const segment of segments) client.write(segment);
      const wanted = `PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\r\n`;
      const ended = pair.public.log.lines.length;
      while (Buffer.concat(arrived).length < wanted.length + hello.length)
        await new Promise((resolve) => setImmediate(resolve));
      const bytes = Buffer.concat(arrived);
      t.is(bytes.subarray(0, wanted.length).toString(), wanted);
      t.true(bytes.subarray(wanted.length).equals(hello));
      // Who leaves before has not been served.
      await answered;
      client.resetAndDestroy();
      const line = await pair.public.log.line(
        (candidate) => candidate.message === "connection" && pair.public.log.lines.indexOf(candidate) >= ended,
      );
      t.is(line.fields.client, "203.0.113.7:40000");
    }
  });
}

test("from a load balancer the header is required: a hello without one is closed and counted", async (t) => {
  const running = await startPublic(t, certificates, behindBalancer);
  const client = await tcpClient(running.clientPort);
  const answer = untilClosed(client);
  client.write(await clientHello(serverName));
  t.is((await answer).length, 0);
  t.is(running.proxy.status().refused.proxy_header_invalid, 1);
});

test("a load balancer's health check (LOCAL) is closed quietly", async (t) => {
  const running = await startPublic(t, certificates, behindBalancer);
  const client = await tcpClient(running.clientPort);
  const answer = untilClosed(client);
  client.write(local);
  t.is((await answer).length, 0);
  const line = await running.log.line(({ fields }) => fields.reason === "health_check");
  t.is(line.level, "debug");
});

test("from an address that is not listed a PROXY header is not TLS", async (t) => {
  const running = await startPublic(t, certificates, { tls: { acceptProxyProtocol: ["10.0.0.0/8", "fd00::/8"] } });
  for (const header of [encodeProxyV1({ source, destination }), encodeProxyV2({ source, destination })]) {
    const client = await tcpClient(running.clientPort);
    const answer = untilClosed(client);
    client.write(Buffer.concat([header, await clientHello(serverName)]));
    t.is((await answer).length, 0);
  }
  t.is(running.proxy.status().refused.not_tls_proxy_header, 2);
});

test("a PROXY header that does not end is given up at the hello's deadline", async (t) => {
  const running = await startPublic(t, certificates, { tls: { ...behindBalancer.tls, helloTimeoutMs: 200 } });
  const client = await tcpClient(running.clientPort);
  const answer = untilClosed(client);
  client.write("PROXY TCP4 203.0");
  await answer;
  t.is(running.proxy.status().refused.hello_timeout, 1);
});

test("an SSLRequest is answered with S, a GSSENCRequest with N, and the hello that follows is routed", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }], { public: { tls: { postgres: true } } });
  for (const withGss of [false, true]) {
    const client = await tcpClient(pair.public.clientPort);
    if (withGss) {
      client.write(gssEncRequest);
      t.is(String((await once(client, "data"))[0]), "N");
    }
    client.write(sslRequest.subarray(0, 3));
    client.write(sslRequest.subarray(3));
    t.is(String((await once(client, "data"))[0]), "S");
    const tls = tlsConnect({ socket: client, servername: serverName, ca: certificates.ca });
    await once(tls, "secureConnect");
    t.is(await ask(tls, "select 1"), "select 1");
    tls.destroy();
  }
});

test("a client that speaks TLS at once is served beside PostgreSQL's way", async (t) => {
  const server = await echoServer(certificates, { ALPNProtocols: ["postgresql"] });
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }], { public: { tls: { postgres: true } } });
  const client = tlsConnect({
    host: "127.0.0.1",
    port: pair.public.clientPort,
    servername: serverName,
    ca: certificates.ca,
    ALPNProtocols: ["postgresql"],
  });
  await once(client, "secureConnect");
  t.is(client.alpnProtocol, "postgresql");
  t.is(await ask(client, "select 1"), "select 1");
  client.destroy();
});

for (const [what, bytes, reason] of [
  ["bytes behind an SSLRequest", Buffer.concat([sslRequest, Buffer.from([0x16])]), "postgres_injection"],
  ["bytes behind a GSSENCRequest", Buffer.concat([gssEncRequest, sslRequest]), "postgres_injection"],
  ["a CancelRequest", cancelRequest, "postgres_cancel"],
  ["a startup message without TLS", Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0]), "postgres_plaintext"],
  ["a length with an unknown code", Buffer.from([0, 0, 0, 8, 1, 2, 3, 4]), "not_tls"],
] as const) {
  test(`PostgreSQL: ${what} ends the connection as ${reason}`, async (t) => {
    const running = await startPublic(t, certificates, { tls: { postgres: true } });
    const client = await tcpClient(running.clientPort);
    const answer = untilClosed(client);
    client.write(bytes);
    const said = (await answer).toString();
    t.is(said.includes("S") && !said.startsWith("E"), false);
    if (reason === "postgres_plaintext") t.true(said.includes("sslmode=require"));
    t.is(running.proxy.status().refused[reason], 1);
  });
}

test("without tls.postgres an SSLRequest is not TLS", async (t) => {
  const running = await startPublic(t, certificates);
  const client = await tcpClient(running.clientPort);
  const answer = untilClosed(client);
  client.write(sslRequest);
  t.is((await answer).length, 0);
  t.is(running.proxy.status().refused.not_tls, 1);
});

for (const [what, answer] of [
  ["N", "N"],
  ["more than one byte", "SS"],
  ["nothing, and closes", undefined],
] as const) {
  test(`a target with startTls: postgres that answers ${what} is not given the client`, async (t) => {
    const server = await plainServer((socket) => {
      socket.once("data", () => (answer === undefined ? socket.end() : socket.write(answer)));
    });
    t.teardown(() => server.close());
    const pair = await startPair(t, certificates, [{ address: server.address, startTls: "postgres" }]);
    const client = await tcpClient(pair.public.clientPort);
    const said = untilClosed(client);
    client.write(await clientHello(serverName));
    t.deepEqual(await said, Buffer.from([21, 3, 3, 0, 2, 2, 80]));
    const line = await pair.private.log.line(({ fields }) => fields.reason === "target_refuses_tls");
    t.is(line.level, "warn");
  });
}
