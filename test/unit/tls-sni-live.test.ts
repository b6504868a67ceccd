import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type ConnectionOptions, connect as tlsConnect } from "node:tls";
import test from "ava";
import type { ReasonCode } from "../../src/base/reasons.js";
import { alertRecord, createHelloReader, type HelloResult } from "../../src/tls-sni/index.js";

/**
 * Listens, reads one client's hello, and refuses it with the alert of `refusal`. Resolves with what was read and the error
 * the client saw.
 */
async function refuse(
  client: (port: number) => Promise<string>,
  refusal: ReasonCode,
): Promise<{ result: HelloResult; seen: string }> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const seen = client((server.address() as AddressInfo).port);
    const [socket] = (await once(server, "connection")) as [Socket];
    socket.on("error", () => {});
    const result = await readHello(socket);
    socket.end(alertRecord(result.status === "reject" ? result.reason : refusal) ?? "");
    return { result, seen: await seen };
  } finally {
    server.close();
  }
}

async function readHello(socket: Socket): Promise<HelloResult> {
  const reader = createHelloReader();
  return new Promise((resolve, reject) => {
    socket.on("data", (chunk) => {
      const result = reader.push(chunk);
      if (result.status !== "more") resolve(result);
    });
    socket.once("close", () => reject(new Error("closed before the hello was whole")));
  });
}

/** The code of the error that a TLS client of Node's ends with. */
const tlsClient = (options: ConnectionOptions) => async (port: number) => {
  const socket = tlsConnect({ host: "127.0.0.1", port, ...options });
  const [error] = (await once(socket, "error").catch((thrown) => [thrown])) as [NodeJS.ErrnoException];
  socket.destroy();
  return error.code ?? error.message;
};

test("the hello of a TLS 1.3 client is read, and the client understands the alert", async (t) => {
  const client = tlsClient({ servername: "Live.Example.com", ALPNProtocols: ["acme-tls/1", "h2"] });
  const { result, seen } = await refuse(client, "server_name_not_announced");
  t.like(result, { hello: { serverName: "live.example.com", alpn: ["acme-tls/1", "h2"], ech: "none", records: 1 } });
  t.true(result.status === "hello" && result.hello.supportedVersions.includes(0x0304));
  t.is(seen, "ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
});

test("the hello of a TLS 1.2 client without a server name is read", async (t) => {
  const { result, seen } = await refuse(tlsClient({ maxVersion: "TLSv1.2" }), "internal");
  t.true(result.status === "hello" && !("serverName" in result.hello));
  t.like(result, { hello: { legacyVersion: 0x0303, supportedVersions: [], alpn: [] } });
  t.is(seen, "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR");
});

test("a client that names an IP address is refused with an alert it understands", async (t) => {
  // Node itself declines to send an address as a server name, so one is put where a name of the same length was.
  const { result: sent } = await refuse(tlsClient({ servername: "a.example" }), "internal");
  t.is(sent.status, "hello");
  if (sent.status !== "hello") return;
  const hello = Buffer.from(Buffer.from(sent.bytes).toString("latin1").replace("a.example", "192.0.2.1"), "latin1");
  const { result, seen } = await refuse(byteByByte(hello), "internal");
  t.deepEqual(result, { status: "reject", reason: "server_name_invalid" });
  t.is(seen, "15030300020232");
});

test("a hello that comes in segments of one byte is read, and its bytes are the client's", async (t) => {
  const { result: sent } = await refuse(tlsClient({ servername: "slow.example.com" }), "internal");
  t.is(sent.status, "hello");
  if (sent.status !== "hello") return;
  const { result } = await refuse(byteByByte(sent.bytes), "internal");
  t.deepEqual(result.status === "hello" && result.hello, sent.hello);
  t.deepEqual(result.status === "hello" && Buffer.from(result.bytes), Buffer.from(sent.bytes));
});

/** Sends the bytes one by one, and tells in hex what came back. */
function byteByByte(bytes: Uint8Array): (port: number) => Promise<string> {
  return async (port) => {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await once(socket, "connect");
    for (const byte of bytes) {
      await new Promise<void>((resolve) => socket.write(Uint8Array.of(byte), () => resolve()));
    }
    let answer = "";
    for await (const chunk of socket) answer += (chunk as Buffer).toString("hex");
    return answer;
  };
}
