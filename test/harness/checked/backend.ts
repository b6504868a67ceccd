/**
 * The internal server of checked connections, in a process of its own. Serves those of operation.ts, echoes what real TLS
 * clients send, and strips a PROXY header (v2) where there is one. What it finds wrong is appended to a file, so that it is
 * not lost with the process. Arguments: port, certificate, key, file for what is wrong.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { type ByteCheck, checkBytes, type KnownBytes, knownBytes } from "./bytes.js";
import { findHello, greetingFor, keyOf, messageBytes, type Operation } from "./operation.js";

const [port, certificate, key, wrongFile] = process.argv.slice(2) as [string, string, string, string];
/** Who is silent for so long has been forgotten by everybody; far beyond every limit of the proxies. */
const silenceMs = 120_000;
const pieceBytes = 16 * 1024;
const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

function wrong(what: string): void {
  appendFileSync(wrongFile, `${what}\n`);
}

const tls = createTlsServer(
  { cert: readFileSync(certificate), key: readFileSync(key), allowHalfOpen: true },
  (socket) => {
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  },
);
tls.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
  // Bytes that are not as they were sent fail their authentication, or make no sense.
  if (/BAD_RECORD_MAC|WRONG_VERSION|DECODE|BAD_|UNEXPECTED/.test(error.code ?? ""))
    wrong(`TLS handshake at the server: ${error.code}`);
  socket.destroy();
});

function accept(socket: Socket): void {
  let first = Buffer.alloc(0);
  let headerRead = false;
  socket.on("error", () => socket.destroy());
  socket.setTimeout(silenceMs, () => socket.destroy());
  socket.once("end", leftEarly);
  socket.on("data", read);

  function leftEarly(): void {
    socket.end();
  }

  function read(chunk: Buffer): void {
    first = Buffer.concat([first, chunk]);
    if (!headerRead) {
      const compared = Math.min(first.length, signature.length);
      if (first.subarray(0, compared).equals(signature.subarray(0, compared))) {
        if (first.length < 16) return;
        const end = 16 + first.readUInt16BE(14);
        if (first.length < end) return;
        first = first.subarray(end);
      }
      headerRead = true;
    }
    const found = findHello(first);
    if (found.status === "more") return;
    socket.off("data", read);
    socket.off("end", leftEarly);
    if (found.status === "damaged") {
      wrong(found.problem);
      return void socket.resetAndDestroy();
    }
    if (found.status === "stranger") {
      socket.pause();
      socket.unshift(first);
      return void tls.emit("connection", socket);
    }
    serve(socket, found.operation, found.hello, found.rest);
  }
}

function serve(socket: Socket, operation: Operation, hello: Buffer, rest: Buffer): void {
  const up = checkBytes(keyOf(operation, "up"), operation.up);
  const down = knownBytes(keyOf(operation, "down"));
  const half = Math.floor(operation.down / 2);
  let sent = 0;
  /** Of all that came up, once it has ended. */
  let digest: Buffer | undefined;
  socket.on("data", take);
  socket.once("end", () => {
    if (up.got < operation.up) return void socket.resetAndDestroy();
    digest = up.digest();
    send();
  });
  socket.on("drain", send);
  socket.write(greetingFor(hello));
  if (rest.length > 0) take(rest);
  send();

  function take(chunk: Buffer): void {
    const problem = up.take(chunk);
    if (problem !== undefined) {
      wrong(`up, connection ${operation.serial} of run ${operation.run}: ${problem}`);
      return void socket.resetAndDestroy();
    }
    if (operation.kind === "talk") send();
  }

  function send(): void {
    if (socket.destroyed) return;
    for (const piece of pieces(down, mayHaveSent(operation, up) - sent)) {
      sent += piece.length;
      if (operation.kind === "serverLeaves" && sent >= half) return void socket.resetAndDestroy();
      if (!socket.write(piece)) return;
    }
    if (digest !== undefined && sent === operation.down && !socket.writableEnded) socket.end(digest);
  }
}

function mayHaveSent({ kind, down }: Operation, up: ByteCheck): number {
  return kind === "talk" ? Math.min(down, messageBytes * Math.floor(up.got / messageBytes)) : down;
}

function* pieces(from: KnownBytes, bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= pieceBytes) yield from.next(Math.min(left, pieceBytes));
}

createServer({ noDelay: true, allowHalfOpen: true }, accept).listen({
  port: Number(port),
  host: "127.0.0.1",
  backlog: 4096,
});
