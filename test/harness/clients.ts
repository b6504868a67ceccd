import { once } from "node:events";
import { connect as netConnect, type Socket } from "node:net";
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from "node:tls";
import { serverName, type TestCertificates } from "./certificates.js";

/** A TLS client that has finished its handshake through the public proxy. */
export async function tlsClient(
  port: number,
  certificates: TestCertificates,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const socket = tlsConnect({ host: "127.0.0.1", port, servername: serverName, ca: certificates.ca, ...options });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  return socket;
}

/** The TLS alert, or other error, that a client meets; fails where the handshake succeeds. */
export function tlsError(
  port: number,
  certificates: TestCertificates,
  options: ConnectionOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ host: "127.0.0.1", port, servername: serverName, ca: certificates.ca, ...options });
    socket.once("secureConnect", () => {
      socket.destroy();
      reject(new Error("the handshake succeeded"));
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      socket.destroy();
      resolve(error.code ?? error.message);
    });
    socket.once("end", () => {
      socket.destroy();
      resolve("ended");
    });
  });
}

/** What OpenSSL calls the alerts. */
export const alertErrors = {
  unrecognizedName: "ERR_SSL_TLSV1_UNRECOGNIZED_NAME",
  internalError: "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR",
} as const;

/** Writes `message` and resolves with as many bytes of the answer. */
export async function ask(socket: Socket, message: Buffer | string): Promise<string> {
  const wanted = Buffer.byteLength(message);
  const chunks: Buffer[] = [];
  let got = 0;
  const answered = new Promise<void>((resolve, reject) => {
    const take = (chunk: Buffer) => {
      chunks.push(chunk);
      got += chunk.length;
      if (got < wanted) return;
      socket.off("data", take);
      resolve();
    };
    socket.on("data", take);
    socket.once("close", () => reject(new Error(`closed after ${got} of ${wanted} bytes`)));
  });
  socket.write(message);
  await answered;
  return Buffer.concat(chunks).toString();
}

/** A plain TCP connection. */
export async function tcpClient(port: number): Promise<Socket> {
  const socket = netConnect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Everything that comes until the peer ends or resets. */
export function untilClosed(socket: Socket): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    const done = () => {
      socket.destroy();
      resolve(Buffer.concat(chunks));
    };
    socket.once("end", done);
    socket.once("close", done);
  });
}

/** A ClientHello for a name, as Node's own TLS client sends it. */
export async function clientHello(name: string): Promise<Buffer> {
  const { createServer } = await import("node:net");
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const client = tlsConnect({ host: "127.0.0.1", port, servername: name });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}
