import { EventEmitter, once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import test, { type ExecutionContext } from "ava";
import { type ProbeOptions, startProbe } from "../../src/private/probe.js";
import { decodeProxyHeader } from "../../src/rendezvous/proxy-protocol.js";
import type { ResolvedAddress } from "../../src/transport/transport.js";
import { deafListener } from "../engine/deaf-listener.js";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { freePorts } from "../harness/processes.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

const at = (port: number): ResolvedAddress => ({ kind: "tcp", ip: "127.0.0.1", port });

function probe(
  type: "tcp" | "tls",
  addresses: readonly ResolvedAddress[],
  target: Partial<ProbeOptions["target"]> = {},
  timeoutMs = 5000,
) {
  return startProbe({
    check: { type, timeoutMs },
    target: { names: [serverName], proxyProtocol: "none", startTls: "none", ...target },
    addresses,
  });
}

/** A server that does with each connection what the test says. */
async function server(t: ExecutionContext, serve: (socket: Socket) => void): Promise<ResolvedAddress> {
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    serve(socket);
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  t.teardown(async () => {
    const closed = once(listener, "close");
    listener.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return at((listener.address() as AddressInfo).port);
}

/** A TLS server behind something that reads what comes first. */
async function tlsBehind(t: ExecutionContext, first: (socket: Socket, begin: () => void) => void) {
  const names: (string | false | null)[] = [];
  const told = new EventEmitter();
  const tls = createTlsServer(certificates.pem("internal-server"), (socket) => {
    socket.on("error", () => {});
    socket.resume();
    socket.once("end", () => {
      names.push(socket.servername);
      told.emit("name");
    });
  });
  tls.on("tlsClientError", () => {});
  const address = await server(t, (socket) => first(socket, () => tls.emit("connection", socket)));
  /** Under which names handshakes were made and ended in order, when there are so many. */
  async function ended(count: number) {
    while (names.length < count) await once(told, "name");
    return names;
  }
  return { address, ended };
}

test("tcp passes where something accepts, and closes; where nothing does it says so", async (t) => {
  const closed: Promise<unknown>[] = [];
  const address = await server(t, (socket) => closed.push(once(socket.resume(), "close")));
  t.deepEqual(await probe("tcp", [address]).result, { status: "passed" });
  await Promise.all(closed);
  const [dead] = await freePorts(1);
  const outcome = await probe("tcp", [at(dead!)]).result;
  t.true(outcome.status === "failed" && outcome.why.includes("ECONNREFUSED"), JSON.stringify(outcome));
});

test("an address that swallows packets fails at its time limit", async (t) => {
  const outcome = await probe("tcp", [await deafListener(t)], {}, 150).result;
  t.deepEqual(outcome, { status: "failed", why: "no connection within 150 ms" });
});

test("of the addresses of a name one that passes is enough, and one that swallows packets leaves it time", async (t) => {
  const address = await server(t, (socket) => socket.resume());
  t.deepEqual(await probe("tcp", [await deafListener(t), address], {}, 300).result, { status: "passed" });
  t.deepEqual(await probe("tcp", []).result, { status: "failed", why: "its name cannot be looked up" });
});

test("tls makes a whole handshake under the first exact name, ends it in order, and judges no certificate", async (t) => {
  const { address, ended } = await tlsBehind(t, (_, begin) => begin());
  const target = { names: ["*.example.com", "unknown.example.com", "other.example.com"] };
  t.deepEqual(await probe("tls", [address], target).result, { status: "passed" });
  t.deepEqual(await probe("tls", [address], { names: ["*"] }).result, { status: "passed" });
  t.deepEqual((await ended(2)).map(String).toSorted(), ["false", "unknown.example.com"]);
});

test("tls notices a server that accepts and speaks something else, says nothing, or closes", async (t) => {
  const http = await server(t, (socket) => socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")));
  const spoken = await probe("tls", [http]).result;
  t.true(spoken.status === "failed" && spoken.why.startsWith("no TLS handshake: "), JSON.stringify(spoken));
  const silent = await server(t, (socket) => socket.resume());
  t.deepEqual(await probe("tls", [silent], {}, 150).result, {
    status: "failed",
    why: "no TLS handshake within 150 ms",
  });
  const closing = await server(t, (socket) => socket.end());
  t.is((await probe("tls", [closing]).result).status, "failed");
});

for (const version of ["v1", "v2"] as const) {
  test(`before the handshake comes a PROXY header ${version} that speaks of no client`, async (t) => {
    const headers: unknown[] = [];
    const { address } = await tlsBehind(t, (socket, begin) => {
      socket.once("data", (bytes: Buffer): void => {
        const decoded = decodeProxyHeader(bytes);
        if (decoded.status !== "header") return void socket.destroy();
        headers.push(decoded.header);
        socket.pause();
        if (decoded.length < bytes.length) socket.unshift(bytes.subarray(decoded.length));
        begin();
      });
    });
    t.deepEqual(await probe("tls", [address], { proxyProtocol: version }).result, { status: "passed" });
    t.deepEqual(headers, version === "v2" ? [{ version: 2, command: "local" }] : [{ version: 1, command: "proxy" }]);
  });
}

test("a PostgreSQL server is asked for TLS first, behind its PROXY header, and must agree", async (t) => {
  const postgres = (answer: string) =>
    tlsBehind(t, (socket, begin) => {
      socket.once("data", (bytes: Buffer): void => {
        const { length } = decodeProxyHeader(bytes) as { readonly length: number };
        if (bytes.subarray(length).toString("hex") !== "0000000804d2162f") return void socket.destroy();
        if (answer === "") socket.end();
        else socket.write(answer);
        if (answer === "S") begin();
      });
    });
  const target = { proxyProtocol: "v2", startTls: "postgres" } as const;
  t.deepEqual(await probe("tls", [(await postgres("S")).address], target).result, { status: "passed" });
  t.deepEqual(await probe("tls", [(await postgres("N")).address], target).result, {
    status: "failed",
    why: "the server did not answer S to the request for TLS",
  });
  t.deepEqual(await probe("tls", [(await postgres("")).address], target).result, {
    status: "failed",
    why: "the server closed the connection, no answer to the request for TLS",
  });
});

test("cancelled at any point it ends at once", async (t) => {
  const silent = await server(t, (socket) => socket.resume());
  for (const address of [silent, await deafListener(t)]) {
    const started = performance.now();
    const running = probe("tls", [address], {}, 60_000);
    await new Promise((resolve) => setImmediate(resolve));
    running.cancel();
    t.is((await running.result).status, "failed");
    t.true(performance.now() - started < 5000);
  }
});
