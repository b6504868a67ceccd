import { spawnSync } from "node:child_process";
import { join } from "node:path";
import test from "ava";
import { arm64 } from "../../scripts/arm64.js";
import { passOver } from "../harness/needs.js";

/** Joins two TCP connections of this engine in a process of its own, and compares what comes out. */
const tcp = `
  const { createEpollTransport } = await import(process.env.DIST + "/src/transport/epoll/transport.js");
  const transport = createEpollTransport();
  const soon = () => ({ at: performance.now() + 20_000, code: "connect_timeout" });
  const limits = { idleTimeoutMs: 20_000, halfClosedTimeoutMs: 20_000, moved() {} };
  const listen = (accept) => transport.listen({ address: { kind: "tcp", host: "127.0.0.1", port: 0 }, accept });
  const connect = ({ address }) =>
    transport.connect({ kind: "tcp", ip: address.address, port: address.port }, soon()).connected;
  const server = await listen(async (endpoint) => {
    for (let bytes = await endpoint.read(soon()); bytes; bytes = await endpoint.read(soon())) endpoint.write(bytes);
    endpoint.end();
  });
  const hop = await listen(async (a) => transport.splice(a, await connect(server), limits));
  const client = await connect(hop);
  const sent = Buffer.alloc(8 << 20, "bytes that differ from place to place");
  client.write(sent);
  const parts = [];
  for (let left = sent.length; left > 0; left -= parts.at(-1).length) parts.push(await client.read(soon()));
  client.destroy();
  console.log(process.arch, Buffer.concat(parts).equals(sent) ? "same" : "damaged");
  transport.close();
`;

const selfTest = `
  const { testEngine } = await import(process.env.DIST + "/src/transport/epoll/self-test.js");
  await testEngine();
  console.log(process.arch, "works");
`;

test.serial("the epoll engine works on arm64, under an emulator", (t) => {
  const emulated = arm64();
  if (emulated.status === "missing") return passOver(t, `arm64 under qemu (${emulated.problem})`);
  const [emulator, ...args] = emulated.command as [string, ...string[]];
  const run = (script: string) =>
    spawnSync(emulator, [...args, "--input-type=module", "-e", script], {
      cwd: emulated.folder,
      env: { ...process.env, DIST: join(emulated.folder, "dist") },
      encoding: "utf8",
      timeout: 120_000,
    });
  const [tested, carried] = [run(selfTest), run(tcp)];
  t.is(tested.stdout.trim(), "arm64 works", tested.stderr);
  t.is(carried.stdout.trim(), "arm64 same", carried.stderr);
});
