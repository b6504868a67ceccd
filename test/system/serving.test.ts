import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createSecureServer, connect as http2Connect } from "node:http2";
import { createServer as createHttpsServer, request as httpsRequest } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { Duplex } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { type TLSSocket, connect as tlsConnect } from "node:tls";
import test from "ava";
import WebSocket, { WebSocketServer } from "ws";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { ask, tcpClient, tlsClient } from "../harness/clients.js";
import { echoServer, jsonRpcServer, tlsServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { startPair } from "../harness/pair.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

async function listening(server: Server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { kind: "tcp", host: "127.0.0.1", port: (server.address() as AddressInfo).port } as const;
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const tls = { minVersion: version, maxVersion: version } as const;

  test(`HTTP/1.1 over ${version} goes through the pair`, async (t) => {
    const server = await jsonRpcServer(certificates);
    t.teardown(() => server.close());
    const pair = await startPair(t, certificates, [{ address: server.address }]);
    const request = httpsRequest({
      ...tls,
      host: "127.0.0.1",
      port: pair.public.clientPort,
      path: "/jsonrpc",
      servername: serverName,
      headers: { host: serverName },
      ca: certificates.ca,
      agent: false,
    });
    request.end();
    const [response] = await once(request, "response");
    t.is((response.socket as TLSSocket).getProtocol(), version);
    const [body] = await once(response, "data");
    t.is(body.toString(), '{"message":"success"}');
  });

  test(`HTTP/2 over ${version} goes through the pair, with many streams on one connection`, async (t) => {
    const server = createSecureServer(certificates.pem("internal-server"), (request, response) =>
      response.end(request.url),
    );
    const address = await listening(server);
    t.teardown(() => void server.close());
    const pair = await startPair(t, certificates, [{ address }]);
    const session = http2Connect(`https://127.0.0.1:${pair.public.clientPort}`, {
      ...tls,
      ca: certificates.ca,
      servername: serverName,
    });
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, at) => {
        const stream = session.request({ ":path": `/${at}`, ":authority": serverName });
        const chunks: Buffer[] = [];
        for await (const chunk of stream) chunks.push(chunk);
        return Buffer.concat(chunks).toString();
      }),
    );
    t.deepEqual(
      answers,
      Array.from({ length: 20 }, (_, at) => `/${at}`),
    );
    session.close();
    await once(session, "close");
  });

  test(`a WebSocket over ${version} goes through the pair`, async (t) => {
    const server = createHttpsServer(certificates.pem("internal-server"));
    const sockets = new WebSocketServer({ server });
    sockets.on("connection", (socket) => socket.on("message", (message) => socket.send(`echo ${message}`)));
    const address = await listening(server);
    t.teardown(async () => {
      sockets.close();
      await new Promise((resolve) => server.close(resolve));
    });
    const pair = await startPair(t, certificates, [{ address }]);
    const options = { ...tls, ca: certificates.ca, servername: serverName };
    const client = new WebSocket(`wss://127.0.0.1:${pair.public.clientPort}/`, options);
    await once(client, "open");
    client.send("one");
    const [message] = await once(client, "message");
    t.is(message.toString(), "echo one");
    client.close();
    await once(client, "close");
  });
}

test("the client's certificate arrives at the internal server", async (t) => {
  const server = await tlsServer(
    certificates,
    (socket) => socket.end(socket.getPeerCertificate().subject.CN as string),
    {
      requestCert: true,
      rejectUnauthorized: true,
      ca: certificates.ca,
    },
  );
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }]);
  const client = await tlsClient(pair.public.clientPort, certificates, certificates.pem("client"));
  const [name] = await once(client, "data");
  t.is(name.toString(), "client");
  client.destroy();
});

test("64 MiB go up and come down unchanged", async (t) => {
  const bytes = 64 * 1024 * 1024;
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }]);
  const client = await tlsClient(pair.public.clientPort, certificates);
  const sent = createHash("sha256");
  const received = createHash("sha256");
  let got = 0;
  client.on("data", (chunk: Buffer) => {
    received.update(chunk);
    got += chunk.length;
  });
  const block = randomBytes(1024 * 1024);
  for (let left = bytes; left > 0; left -= block.length) {
    sent.update(block);
    if (!client.write(block)) await once(client, "drain");
  }
  client.end();
  await once(client, "end");
  t.is(got, bytes);
  t.is(received.digest("hex"), sent.digest("hex"));
  const line = await pair.public.log.line(({ message }) => message === "connection");
  t.true((line.fields.bytesUp as number) > bytes);
  t.true((line.fields.bytesDown as number) > bytes);
  t.is(line.fields.endedBy, "client");
});

test("a client that half-closes still gets a long answer", async (t) => {
  const answer = randomBytes(4 * 1024 * 1024);
  const server = await tlsServer(certificates, (socket) => {
    socket.resume();
    socket.on("end", () => socket.end(answer));
  });
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }]);
  const client = await tlsClient(pair.public.clientPort, certificates, { allowHalfOpen: true } as object);
  client.end("the question");
  const chunks: Buffer[] = [];
  for await (const chunk of client) chunks.push(chunk as Buffer);
  t.true(Buffer.concat(chunks).equals(answer));
});

test("a connection that was silent for longer than every handshake deadline is still used", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address, connectTimeoutMs: 1500 }], {
    public: {
      tls: { helloTimeoutMs: 1500 },
      rendezvous: { prefaceTimeoutMs: 1500, attemptTimeoutMs: 1500, deadlineMs: 1500 },
    },
  });
  const client = await tlsClient(pair.public.clientPort, certificates);
  t.is(await ask(client, "before"), "before");
  // The wait is the point: what must not happen has no event.
  await pause(2500);
  t.is(await ask(client, "after"), "after");
  client.destroy();
});

test("500 connections at once are served, and counted when they have ended", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }]);
  const clients = await Promise.all(Array.from({ length: 500 }, () => tlsClient(pair.public.clientPort, certificates)));
  t.is(pair.public.proxy.status().connections.live, 500);
  const answers = await Promise.all(clients.map((client, at) => ask(client, `connection ${at}`)));
  t.deepEqual(
    answers,
    answers.map((_, at) => `connection ${at}`),
  );
  for (const client of clients) client.end();
  await pair.public.log.line(() => pair.public.proxy.status().connections.closed === 500);
  t.deepEqual(pair.public.proxy.status().connections, { opened: 500, closed: 500, live: 0 });
});

test("a hello in 1-byte segments is served", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }]);
  const raw = await tcpClient(pair.public.clientPort);
  raw.setNoDelay(true);
  // The TLS client writes into a stream that passes the bytes on one by one.
  const slow = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      for (const byte of chunk) raw.write(Buffer.of(byte));
      done();
    },
  });
  raw.on("data", (chunk) => slow.push(chunk));
  const client = tlsConnect({ socket: slow, servername: serverName, ca: certificates.ca });
  await once(client, "secureConnect");
  t.is(await ask(client, "one by one"), "one by one");
  client.destroy();
  raw.destroy();
});
