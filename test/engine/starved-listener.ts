import type { Endpoint } from "../../src/transport/endpoint.js";
import { engineUnderTest } from "./engines.js";

/**
 * A process of its own, started with few descriptors: answers every client with one byte and keeps the connection until
 * the client ends it. Tells on standard output, a JSON line each: the port, each change of `starved`, and the CPU time
 * used meanwhile. Ends with its standard input.
 */
const tell = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function keep(endpoint: Endpoint): Promise<void> {
  endpoint.write(Buffer.from("!"));
  await endpoint.hangup;
  endpoint.destroy();
}

let cpuAtPause = process.cpuUsage();
const listener = await engineUnderTest().listen({
  address: { kind: "tcp", host: "127.0.0.1", port: 0 },
  accept: keep,
  starved(state) {
    if (state === "paused") cpuAtPause = process.cpuUsage();
    const { user, system } = process.cpuUsage(cpuAtPause);
    tell({ state, cpuMs: (user + system) / 1000 });
  },
});
tell({ port: listener.address.family === "unix" ? 0 : listener.address.port });
process.stdin.resume().once("end", () => process.exit(0));
