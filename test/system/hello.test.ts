import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect as netConnect } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import test from "ava";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { alertErrors, ask, clientHello, tcpClient, tlsClient, tlsError, untilClosed } from "../harness/clients.js";
import { echoServer, jsonRpcServer, plainServer, tlsServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { memoryAlive } from "../harness/memory.js";
import { has } from "../harness/needs.js";
import { startPair, startPublic } from "../harness/pair.js";
import { scriptedPrivate } from "../harness/scripted-private.js";
import { encodeMessage, encodeRecords, serverName as sni } from "../unit/tls-sni-encoder.js";

assertNothingLeft(test);

const run = promisify(execFile);
/** A hello for a name, padded (RFC 7685) by so many bytes, in records of one size. */
function hugeHello(name: string, paddingBytes: number, recordBytes = 16_384): Buffer {
  const padding = { type: 21, body: Buffer.alloc(paddingBytes) };
  const message = encodeMessage({ extensions: [sni(name), padding] });
  return encodeRecords(message, [recordBytes]);
}

const alert = (description: number) => Buffer.from([21, 3, 3, 0, 2, 2, description]);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

test("acme-tls/1 goes to the target that announced it, everything else to the other", async (t) => {
  const says = (word: string, protocols: string[]) =>
    tlsServer(certificates, (socket) => socket.end(word), { ALPNProtocols: protocols });
  const [acme, web] = await Promise.all([says("acme", ["acme-tls/1"]), says("web", ["h2", "http/1.1"])]);
  t.teardown(() => Promise.all([acme.close(), web.close()]).then(() => {}));
  const pair = await startPair(t, certificates, [
    { address: acme.address, alpn: ["acme-tls/1"] },
    { address: web.address },
  ]);
  const asked = async (options: object) => {
    const client = await tlsClient(pair.public.clientPort, certificates, options);
    const [word] = await once(client, "data");
    client.destroy();
    return String(word);
  };
  t.is(await asked({ ALPNProtocols: ["acme-tls/1"] }), "acme");
  t.is(await asked({ ALPNProtocols: ["h2"] }), "web");
  t.is(await asked({}), "web");
});

test("a client without a server name gets alert 112, and is served where somebody announced *", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const without = { servername: "", checkServerIdentity: () => undefined };
  const grants = [{ identity: "private-proxy-1", names: ["*"], shared: false }];
  const hold = { rendezvous: { startupHoldMs: 0 } };
  const nobody = await startPublic(t, certificates, { ...hold, grants });
  t.is(await tlsError(nobody.clientPort, certificates, without), alertErrors.unrecognizedName);
  t.is(nobody.proxy.status().refused.server_name_missing, 1);

  const pair = await startPair(t, certificates, [{ address: server.address, names: ["*"] }], {
    public: { ...hold, grants },
  });
  const client = await tlsClient(pair.public.clientPort, certificates, without);
  t.is(await ask(client, "no name"), "no name");
  client.destroy();
  const other = await tlsClient(pair.public.clientPort, certificates, { servername: "localhost" });
  t.is(await ask(other, "any name"), "any name");
  other.destroy();
});

test("an IP literal as server name is refused, also where * is announced", async (t) => {
  const running = await startPublic(t, certificates, {
    grants: [{ identity: "private-proxy-1", names: ["*"], shared: false }],
  });
  const attached = await scriptedPrivate(t, certificates, running, "private-proxy-1");
  attached.announce(1, ["*"]);
  const client = await tcpClient(running.clientPort);
  const answer = untilClosed(client);
  client.write(hugeHello("192.0.2.1", 0));
  t.deepEqual(await answer, alert(50));
});

for (const recordBytes of [7, 1000, 16_384]) {
  test(`a hello of 60 KiB in records of ${recordBytes} bytes arrives at the target bit for bit`, async (t) => {
    let arrived = Buffer.alloc(0);
    let got: () => void = () => {};
    const server = await plainServer((socket) =>
      socket.on("data", (chunk) => {
        arrived = Buffer.concat([arrived, chunk]);
        got();
      }),
    );
    t.teardown(() => server.close());
    const pair = await startPair(t, certificates, [{ address: server.address }]);
    const hello = hugeHello(serverName, 60 * 1024, recordBytes);
    const client = await tcpClient(pair.public.clientPort);
    client.write(hello);
    while (arrived.length < hello.length) {
      await new Promise<void>((resolve) => {
        got = resolve;
      });
    }
    t.true(arrived.equals(hello));
    client.resetAndDestroy();
  });
}

test("a hello over maxHelloBytes gets alert 50", async (t) => {
  const running = await startPublic(t, certificates, { tls: { maxHelloBytes: 4096 } });
  const client = await tcpClient(running.clientPort);
  const answer = untilClosed(client);
  client.write(hugeHello(serverName, 8000));
  t.deepEqual(await answer, alert(50));
  t.is(running.proxy.status().refused.hello_too_large, 1);
});

test("1,000 hellos that stop half-way hold little memory, and get alert 40 at their deadline", async (t) => {
  const running = await startPublic(t, certificates, {
    tls: { helloTimeoutMs: 3000 },
    // The log of the tests keeps every line.
    log: { connections: false },
  });
  const hello = await clientHello(serverName);
  const wave = async () => {
    const clients = await Promise.all(
      Array.from({ length: 1000 }, async () => {
        const socket = netConnect(running.clientPort, "127.0.0.1");
        socket.on("error", () => {});
        await once(socket, "connect");
        socket.write(hello.subarray(0, hello.length / 2));
        return socket;
      }),
    );
    const { heapBytes, bufferBytes } = await memoryAlive();
    const answers = await Promise.all(clients.map(untilClosed));
    t.true(answers.every((answer) => answer.equals(alert(40))));
    return heapBytes + bufferBytes;
  };
  // The first wave also pays for code that is compiled, the second one finds what the first one left, and so on. Both
  // sides of 1,000 connections are in this process.
  await wave();
  const first = await wave();
  const second = await wave();
  t.true(second - first < 8 * 1024 * 1024, `${second - first} bytes more`);
  t.is(running.proxy.status().refused.hello_timeout, 3000);
  t.is(running.proxy.status().connections.live, 0);
});

test("openssl s_client is served with a server name, and gets alert 112 without one", async (t) => {
  if (!has(t, "openssl")) return;
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }]);
  const connect = (...more: string[]) =>
    run("sh", [
      "-c",
      `echo Q | openssl s_client -brief -connect 127.0.0.1:${pair.public.clientPort} -CAfile ${join(certificates.dir, "root.crt")} ${more.join(" ")} 2>&1 || :`,
    ]).then(({ stdout }) => stdout);
  t.regex(await connect("-servername", serverName), /Verification: OK/);
  t.regex(await connect("-noservername"), /unrecognized name|alert number 112/);
});

test("curl is served", async (t) => {
  const server = await jsonRpcServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }]);
  const { clientPort } = pair.public;
  const { stdout } = await run("curl", [
    "--silent",
    "--show-error",
    "--cacert",
    join(certificates.dir, "root.crt"),
    "--resolve",
    `${serverName}:${clientPort}:127.0.0.1`,
    `https://${serverName}:${clientPort}/jsonrpc`,
  ]);
  t.is(stdout, '{"message":"success"}');
});

test("gnutls-cli is served", async (t) => {
  if (!has(t, "gnutls-cli")) return;
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const pair = await startPair(t, certificates, [{ address: server.address }]);
  const { stdout } = await run("sh", [
    "-c",
    `echo hello from gnutls | gnutls-cli --logfile=/dev/null --x509cafile ${join(certificates.dir, "root.crt")} --sni-hostname ${serverName} --verify-hostname ${serverName} -p ${pair.public.clientPort} 127.0.0.1`,
  ]);
  t.regex(stdout, /hello from gnutls/);
});
