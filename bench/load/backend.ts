/**
 * The server behind every contestant. A hello of the load generators says what is wanted (bench/load/hello.ts); one of a real
 * client is answered with TLS and HTTP. Arguments: certificate and key files.
 */
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { freePort } from "../processes.js";
import { answerBytes, helloBytes, type Kind, kindOf, messageBytes } from "./hello.js";
import { report } from "./program.js";

const [certificate, key] = process.argv.slice(2);
const body = Buffer.alloc(answerBytes, "a");
const message = Buffer.alloc(messageBytes, "m");
const block = Buffer.alloc(256 * 1024, "s");
const response = Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${answerBytes}\r\n\r\n`), body]);

const tls = createTlsServer({ cert: readFileSync(certificate!), key: readFileSync(key!) }, (socket) => {
  socket.on("error", () => socket.destroy());
  let rest = "";
  socket.on("data", (chunk: Buffer) => {
    rest += chunk.toString("latin1");
    for (let end = rest.indexOf("\r\n\r\n"); end !== -1; end = rest.indexOf("\r\n\r\n")) {
      rest = rest.slice(end + 4);
      socket.write(response);
    }
  });
  socket.on("end", () => socket.end());
});
tls.on("tlsClientError", (_, socket) => socket.destroy());

/** What each kind does once its hello is there. */
const serve: Record<Kind, (socket: Socket) => void> = {
  answer: (socket) => {
    socket.end(body);
    socket.resume();
  },
  echo(socket) {
    let got = 0;
    socket.on("data", (chunk: Buffer) => {
      for (got += chunk.length; got >= messageBytes; got -= messageBytes) socket.write(message);
    });
  },
  source(socket) {
    const write = () => {
      while (socket.writable && socket.write(block));
    };
    socket.on("drain", write);
    socket.resume();
    write();
  },
  sink: (socket) => void socket.on("data", () => {}),
  hold: (socket) => {
    socket.write("h");
    socket.resume();
  },
};

function accept(socket: Socket): void {
  let hello: Buffer | undefined;
  socket.on("error", () => socket.destroy());
  socket.on("end", () => socket.end());
  socket.on("data", function read(chunk: Buffer) {
    hello = hello === undefined ? chunk : Buffer.concat([hello, chunk]);
    if (hello.length < helloBytes && kindOf(hello) !== undefined) return;
    socket.off("data", read);
    const kind = kindOf(hello);
    if (kind !== undefined) {
      // What came with the hello is the first of the messages.
      if (hello.length > helloBytes) socket.unshift(hello.subarray(helloBytes));
      return serve[kind](socket);
    }
    socket.pause();
    socket.unshift(hello);
    tls.emit("connection", socket);
  });
}

process.on("disconnect", () => process.exit());
const server = createServer({ noDelay: true, allowHalfOpen: true }, accept);
// Like a service's, none that the system gives to connections.
server.listen({ port: await freePort(), host: "127.0.0.1", backlog: 4096 }, () => {
  report({ type: "listening", port: (server.address() as AddressInfo).port });
});
