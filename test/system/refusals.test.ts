import { once } from "node:events";
import { connect as netConnect, type Socket } from "node:net";
import test from "ava";
import { encodePreface } from "../../src/rendezvous/preface.js";
import { createToken } from "../../src/rendezvous/token.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { alertErrors, ask, clientHello, tcpClient, tlsClient, tlsError, untilClosed } from "../harness/clients.js";
import { echoServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { announced, startPair, startPrivate, startPublic } from "../harness/pair.js";
import { scriptedPrivate } from "../harness/scripted-private.js";
import { address } from "../harness/settings.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
  await certificates.issuePrivate("stranger");
});
test.after.always(() => certificates.remove());

/** Sends bytes and resolves with everything that comes back. */
async function exchange(port: number, bytes: Buffer): Promise<Buffer> {
  const socket = await tcpClient(port);
  const answer = untilClosed(socket);
  socket.write(bytes);
  return answer;
}

const alert = (description: number) => Buffer.from([21, 3, 3, 0, 2, 2, description]);

test("a name that nobody granted gets alert 112", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }]);
  t.is(
    await tlsError(pair.public.clientPort, certificates, { servername: "www.example.org" }),
    alertErrors.unrecognizedName,
  );
  t.is(pair.public.proxy.status().refused.server_name_not_granted, 1);
});

test("a granted name that nobody announces is held, then gets alert 112", async (t) => {
  const running = await startPublic(t, certificates, { rendezvous: { startupHoldMs: 300 } });
  const asked = performance.now();
  t.is(await tlsError(running.clientPort, certificates), alertErrors.unrecognizedName);
  t.true(performance.now() - asked < 2000);
  t.is(running.proxy.status().refused.server_name_not_announced, 1);
});

test("a client that nobody takes gets alert 80, and the log says who was asked and what each answered", async (t) => {
  const closed = await echoServer(certificates);
  await closed.close();
  const pair = await startPair(t, certificates, [{ address: closed.address }]);
  await startPrivate(t, certificates, [pair.public.mesh], [{ address: closed.address }], { name: "second" });
  await pair.public.log.line(({ message, fields }) => message === "name announced" && fields.privateProxy === "second");
  t.is(await tlsError(pair.public.clientPort, certificates), alertErrors.internalError);
  const line = await pair.public.log.line(({ fields }) => fields.reason === "all_declined");
  t.deepEqual(String(line.fields.detail).split(", ").sort(), [
    "private-proxy-1: target_unreachable",
    "second: target_unreachable",
  ]);
  const there = await pair.private.log.line(({ fields }) => fields.reason === "target_unreachable");
  t.is(there.fields.connection, line.fields.connection);
});

test("a client that comes before the private proxy is held and served", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const running = await startPublic(t, certificates, { rendezvous: { startupHoldMs: 8000 } });
  const client = tlsClient(running.clientPort, certificates);
  await startPrivate(t, certificates, [running.mesh], [{ address: server.address }]);
  t.is(await ask(await client, "held"), "held");
  (await client).destroy();
});

test("an announcement that no grant covers is denied, logged on both sides, and not served", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const running = await startPublic(t, certificates, { rendezvous: { startupHoldMs: 0 } });
  const stranger = await startPrivate(t, certificates, [running.mesh], [{ address: server.address }], {
    mesh: certificates.files("stranger"),
  });
  const isDenial = (line: { message: string; fields: Record<string, unknown> }) =>
    line.message === "announcement not accepted" && line.fields.status === "denied" && line.fields.name === serverName;
  const [here, there] = await Promise.all([running.log.line(isDenial), stranger.log.line(isDenial)]);
  t.is(here.fields.identity, "dns:stranger");
  t.is(there.level, "warn");
  t.is(await tlsError(running.clientPort, certificates), alertErrors.unrecognizedName);
});

test("a name that another identity holds is taken, and passes on when it is free", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const running = await startPublic(t, certificates, {
    grants: [
      { identity: "private-proxy-1", names: [serverName], shared: false },
      { identity: "stranger", names: [serverName], shared: false },
    ],
  });
  const first = await startPrivate(t, certificates, [running.mesh], [{ address: server.address }]);
  await announced(running, serverName);
  const second = await startPrivate(t, certificates, [running.mesh], [{ address: server.address }], {
    name: "second",
    mesh: certificates.files("stranger"),
  });
  await second.log.line((line) => line.fields.status === "taken");
  await first.proxy.stop();
  await second.log.line((line) => line.message === "name announced");
  const client = await tlsClient(running.clientPort, certificates);
  t.is(await ask(client, "second"), "second");
  client.destroy();
});

test("an instance that attaches again keeps its names, whoever else waits for them", async (t) => {
  const running = await startPublic(t, certificates, {
    grants: [
      { identity: "private-proxy-1", names: [serverName], shared: false },
      { identity: "stranger", names: [serverName], shared: false },
    ],
  });
  const instance = "ab".repeat(16);
  const first = await scriptedPrivate(t, certificates, running, "private-proxy-1", instance);
  first.announce(1, [serverName]);
  await announced(running, serverName);
  const waiting = await scriptedPrivate(t, certificates, running, "stranger");
  waiting.announce(1, [serverName]);
  await running.log.line(({ fields }) => fields.status === "taken");
  const again = await scriptedPrivate(t, certificates, running, "private-proxy-1", instance);
  again.announce(1, [serverName]);
  const isAccepted = ({ message, fields }: { message: string; fields: Record<string, unknown> }) =>
    message === "name announced" && fields.identity === "dns:private-proxy-1";
  await running.log.line(() => running.log.lines.filter(isAccepted).length === 2);
  t.false(
    running.log.lines.some(({ message, fields }) => message === "name announced" && fields.identity === "dns:stranger"),
  );
  const client = await tcpClient(running.clientPort);
  client.write(await clientHello(serverName));
  await again.offer();
  client.destroy();
});

test("a private proxy of another CA, or with a public proxy's certificate, does not attach", async (t) => {
  const other = await testCertificates();
  t.teardown(() => other.remove());
  const running = await startPublic(t, certificates);
  const target = { address: address("127.0.0.1:9") };
  const ofOtherCa = await startPrivate(t, certificates, [running.mesh], [target], {
    mesh: { ...other.files("private-proxy-1"), ca: certificates.files("client").ca },
  });
  await ofOtherCa.log.line((line) => line.message === "not attached, trying again");
  const posing = await startPrivate(t, certificates, [running.mesh], [target], {
    mesh: certificates.files("public-proxy-1"),
  });
  await posing.log.line((line) => line.message === "not attached, trying again");
  t.deepEqual(running.proxy.status().attachments, []);
  t.true((running.proxy.status().refused.mesh_handshake_failed ?? 0) >= 1);
});

test("a private proxy does not attach to a public proxy whose certificate is not for the host it dialled", async (t) => {
  const running = await startPublic(t, certificates, { mesh: { ...certificates.files("internal-server") } });
  const target = { address: address("127.0.0.1:9") };
  const privateProxy = await startPrivate(t, certificates, [running.mesh], [target]);
  const line = await privateProxy.log.line(({ message }) => message === "not attached, trying again");
  t.regex(String(line.fields.why), /127\.0\.0\.1/);
  t.deepEqual(running.proxy.status().attachments, []);
});

test("what is not a ClientHello is answered as its kind asks, and counted by reason", async (t) => {
  const running = await startPublic(t, certificates, { tls: { helloTimeoutMs: 2000 } });
  const { clientPort } = running;
  t.is((await exchange(clientPort, Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))).length, 0);
  t.is((await exchange(clientPort, Buffer.from("SSH-2.0-OpenSSH_9.6\r\n"))).length, 0);
  t.deepEqual(await exchange(clientPort, Buffer.from([23, 3, 3, 0, 1, 0])), alert(10));
  const hello = await clientHello(serverName);
  t.deepEqual(await exchange(clientPort, hello.subarray(0, hello.length - 1)), alert(40));
  const { refused } = running.proxy.status();
  t.is(refused.not_tls_http, 1);
  t.is(refused.not_tls_ssh, 1);
  t.is(refused.not_client_hello, 1);
  t.is(refused.hello_timeout, 1);
});

test("the alert arrives although the client has sent much that nobody read", async (t) => {
  const running = await startPublic(t, certificates);
  const hello = await clientHello("www.example.org");
  t.deepEqual(await exchange(running.clientPort, Buffer.concat([hello, Buffer.alloc(512 * 1024)])), alert(112));
});

test("garbage, an unknown token and a token for the pool are closed and counted; a client that waits is unharmed", async (t) => {
  const running = await startPublic(t, certificates);
  const attached = await scriptedPrivate(t, certificates, running, "private-proxy-1");
  attached.announce(1, [serverName]);
  await announced(running, serverName);
  const hello = await clientHello(serverName);
  const client = await tcpClient(running.clientPort);
  client.write(hello);
  const offer = await attached.offer();

  t.is((await exchange(running.rendezvousPort, Buffer.alloc(40, 0x41))).length, 0);
  t.is(
    (await exchange(running.rendezvousPort, Buffer.from(encodePreface({ kind: "claim", token: createToken(0) }))))
      .length,
    0,
  );
  t.is(
    (await exchange(running.rendezvousPort, Buffer.from(encodePreface({ kind: "park", token: offer.token })))).length,
    0,
  );
  const { refused } = running.proxy.status();
  t.is(refused.preface_malformed, 1);
  t.is(refused.token_unknown, 1);
  t.is(refused.token_misplaced, 1);

  const dialBack = await tcpClient(running.rendezvousPort);
  dialBack.write(encodePreface({ kind: "claim", token: offer.token }));
  const [bytes] = (await once(dialBack, "data")) as [Buffer];
  t.true(bytes.subarray(-hello.length).equals(hello));
  dialBack.write(Buffer.from([1]));
  dialBack.write("the server's answer");
  const [answer] = (await once(client, "data")) as [Buffer];
  t.is(answer.toString(), "the server's answer");

  t.is(
    (await exchange(running.rendezvousPort, Buffer.from(encodePreface({ kind: "claim", token: offer.token })))).length,
    0,
  );
  t.is(running.proxy.status().refused.token_late, 1);
  client.destroy();
  dialBack.destroy();
});

test("an address that sends garbage over and over is turned away unread, counted every time and logged once a second", async (t) => {
  const running = await startPublic(t, certificates);
  for (let sent = 0; sent < 60; sent++) await exchange(running.rendezvousPort, Buffer.alloc(40, 0x41));
  const { refused } = running.proxy.status();
  t.is((refused.preface_malformed ?? 0) + (refused.rendezvous_rate_limited ?? 0), 60);
  t.true((refused.rendezvous_rate_limited ?? 0) > 30);
  const lines = running.log.lines.filter(({ fields }) => fields.reason === "rendezvous_rate_limited");
  t.true(lines.length >= 1 && lines.length < 10, `${lines.length} lines`);
});

test("a token of one public proxy is worth nothing at another, and nothing after its deadline", async (t) => {
  const times = { rendezvous: { attemptTimeoutMs: 1000, deadlineMs: 1000 } };
  const [one, other] = await Promise.all([startPublic(t, certificates, times), startPublic(t, certificates, times)]);
  const attached = await scriptedPrivate(t, certificates, one, "private-proxy-1");
  attached.announce(1, [serverName]);
  await announced(one, serverName);
  const refusal = tlsError(one.clientPort, certificates);
  const offer = await attached.offer();
  const preface = Buffer.from(encodePreface({ kind: "claim", token: offer.token }));
  await exchange(other.rendezvousPort, preface);
  t.is(other.proxy.status().refused.token_unknown, 1);
  t.is(await refusal, alertErrors.internalError);
  await exchange(one.rendezvousPort, preface);
  t.is(one.proxy.status().refused.token_late, 1);
});

for (const way of ["FIN", "RST"] as const) {
  test(`a client that leaves by ${way} while it is parked takes its token and its offer with it`, async (t) => {
    const running = await startPublic(t, certificates);
    const attached = await scriptedPrivate(t, certificates, running, "private-proxy-1");
    attached.announce(1, [serverName]);
    await announced(running, serverName);
    const client = await tcpClient(running.clientPort);
    client.write(await clientHello(serverName));
    const offer = await attached.offer();
    if (way === "FIN") client.end();
    else client.resetAndDestroy();
    t.deepEqual(Buffer.from(await attached.cancelled()), Buffer.from(offer.token));
    await running.log.line(({ fields }) => fields.reason === "client_left");
    await exchange(running.rendezvousPort, Buffer.from(encodePreface({ kind: "claim", token: offer.token })));
    const status = running.proxy.status();
    t.is(status.refused.token_late, 1);
    t.is(status.connections.live, 0);
    client.destroy();
  });
}

test("a hostile public proxy's endpoint on another host is not dialled, and logged", async (t) => {
  let dialled = 0;
  const bystander = await import("../harness/internal-server.js").then(({ plainServer }) =>
    plainServer((socket: Socket) => {
      dialled++;
      socket.destroy();
    }),
  );
  t.teardown(() => bystander.close());
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  // 127.0.0.2 is another host than 127.0.0.1, which is dialled for the mesh.
  const running = await startPublic(t, certificates, {
    rendezvous: { advertise: [`127.0.0.2:${bystander.port}`, `localhost:${bystander.port}`], attemptTimeoutMs: 1000 },
  });
  const privateProxy = await startPrivate(t, certificates, [running.mesh], [{ address: server.address }]);
  await announced(running, serverName);
  t.is(await tlsError(running.clientPort, certificates), alertErrors.internalError);
  const line = await privateProxy.log.line(({ fields }) => fields.reason === "endpoint_refused");
  t.is(line.level, "warn");
  t.is(dialled, 0);
});

test("100 slow handshakes on the mesh port: attached peers and clients do not notice, and they are closed", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }]);
  const [host, port] = pair.public.mesh.split(":");
  const slow = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const socket = netConnect(Number(port), host);
      socket.on("error", () => {});
      await once(socket, "connect");
      socket.write(Buffer.from([22]));
      return socket;
    }),
  );
  const closed = Promise.all(slow.map((socket) => once(socket.resume(), "close")));
  const client = await tlsClient(pair.public.clientPort, certificates);
  t.is(await ask(client, "served"), "served");
  client.destroy();
  const late = await startPrivate(t, certificates, [pair.public.mesh], [{ address: server.address }], { name: "late" });
  await late.log.line(({ message }) => message === "attached");
  await closed;
  t.is(pair.public.proxy.status().refused.mesh_handshake_timeout, 100);
  t.is(pair.public.proxy.status().attachments.length, 2);
});

test("no log line of a public proxy holds a token", async (t) => {
  const running = await startPublic(t, certificates);
  const attached = await scriptedPrivate(t, certificates, running, "private-proxy-1");
  attached.announce(1, [serverName]);
  await announced(running, serverName);
  const client = await tcpClient(running.clientPort);
  client.write(await clientHello(serverName));
  const { token } = await attached.offer();
  await exchange(running.rendezvousPort, Buffer.from(encodePreface({ kind: "park", token })));
  client.destroy();
  await running.log.line(({ fields }) => fields.reason === "client_left");
  const bytes = Buffer.from(token);
  const log = running.log.text();
  for (const form of [
    bytes.toString("hex"),
    bytes.toString("base64"),
    bytes.toString("base64url"),
    [...bytes].join(","),
  ]) {
    t.false(log.includes(form));
  }
});
