/**
 * Records the hello of a real client as an annotated fixture: listens on a local port, starts the client, and writes what
 * it sends until the hello is whole.
 *
 *   node dist/scripts/record-hello.js --out test/fixtures/hello/curl.txt --client "curl 7.88.1" \
 *     -- curl --connect-to ::127.0.0.1:{port} https://www.example.com/
 *
 * `{port}` in the client's arguments becomes the port. What the reader makes of the bytes is written as the expectation:
 * compare it with what the client was asked to do before committing it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { createHelloReader, type HelloResult } from "../src/tls-sni/index.js";
import { annotateHello } from "../test/unit/tls-sni-annotate.js";

const recordTimeoutMs = 20_000;

const { values, positionals } = parseArgs({
  options: { out: { type: "string" }, client: { type: "string" } },
  allowPositionals: true,
});
const [program, ...args] = positionals;
if (values.out === undefined || values.client === undefined || program === undefined) {
  process.stderr.write("usage: record-hello --out FILE --client NAME -- PROGRAM [ARGUMENT...], {port} is replaced\n");
  process.exit(2);
}

const server = createServer();
server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
const argumentsOfClient = args.map((argument) => argument.replaceAll("{port}", String(port)));
const client = spawn(program, argumentsOfClient, { stdio: ["pipe", "ignore", "ignore"] });
const giveUp = setTimeout(() => {
  process.stderr.write(`no hello came within ${recordTimeoutMs} ms\n`);
  client.kill();
  process.exit(1);
}, recordTimeoutMs);

const [socket] = (await once(server, "connection")) as [Socket];
const { result, bytes } = await readHello(socket);
clearTimeout(giveUp);
socket.destroy();
server.close();
client.kill();

const expected = result.status === "hello" ? { status: "hello", hello: result.hello } : result;
const command = [basename(program), ...args]
  .map((word) => (/[\s'"*]/.test(word) ? JSON.stringify(word) : word))
  .join(" ");
const header = [`client: ${values.client}`, `command: ${command}`, `expect: ${JSON.stringify(expected)}`];
writeFileSync(values.out, `${header.map((line) => `# ${line}\n`).join("")}\n${annotateHello(bytes)}`);
process.stdout.write(`${values.out}: ${JSON.stringify(expected)}\n`);
process.exit(0);

async function readHello(from: Socket): Promise<{ result: HelloResult; bytes: Uint8Array }> {
  const reader = createHelloReader();
  let result: HelloResult = { status: "more" };
  for await (const chunk of from as AsyncIterable<Uint8Array>) {
    result = reader.push(chunk);
    if (result.status !== "more") break;
  }
  return { result, bytes: reader.bytes };
}
