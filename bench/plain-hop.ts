import { deadlineIn } from "../src/base/deadline.js";
import type { Endpoint } from "../src/transport/endpoint.js";
import { createEpollTransport } from "../src/transport/epoll/transport.js";

/**
 * The epoll engine without a rendezvous: accept, read what comes first, connect, splice. It shows what the engine costs,
 * so that the rest of the pair's price is that of the rendezvous. `node plain-hop.js LISTEN_PORT TARGET_PORT`.
 */
const [port, target] = process.argv.slice(2).map(Number) as [number, number];
const hourMs = 3_600_000;
const limits = { idleTimeoutMs: hourMs, halfClosedTimeoutMs: hourMs, moved() {} };
const transport = createEpollTransport({ maxBlockMs: 250 });

async function serve(client: Endpoint): Promise<void> {
  try {
    const first = await client.read(deadlineIn(10_000, "hello_timeout"));
    if (first === undefined) return client.destroy();
    const address = { kind: "tcp", ip: "127.0.0.1", port: target } as const;
    const server = await transport.connect(address, deadlineIn(10_000, "connect_timeout")).connected;
    server.write(first);
    transport.splice(client, server, limits);
  } catch {
    client.destroy();
  }
}

await transport.listen({ address: { kind: "tcp", host: "127.0.0.1", port }, accept: serve });
