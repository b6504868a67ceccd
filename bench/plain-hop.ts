import { deadlineIn } from "../src/base/deadline.js";
import type { Endpoint } from "../src/transport/endpoint.js";
import { createEpollTransport } from "../src/transport/epoll/transport.js";

/**
 * The epoll engine without a rendezvous: accept, read what comes first, connect, splice. It shows what the engine costs,
 * so that the rest of the pair's price is that of the rendezvous. `node plain-hop.js LISTEN_PORT TARGET_PORT [AHEAD]`: so
 * many connections to the target are kept open in advance, once the first client has shown that it is there.
 */
const [port, target, ahead = 0] = process.argv.slice(2).map(Number) as [number, number, number?];
const hourMs = 3_600_000;
// One object for all, as the proxies have it: the engine keeps the system's form of an address with it.
const address = { kind: "tcp", ip: "127.0.0.1", port: target } as const;
const limits = { idleTimeoutMs: hourMs, halfClosedTimeoutMs: hourMs, moved() {} };
const transport = createEpollTransport({ maxBlockMs: 250 });

const open: Endpoint[] = [];
let opening = 0;

function connect(): Promise<Endpoint> {
  return transport.connect(address, deadlineIn(10_000, "connect_timeout")).connected;
}

async function openAhead(): Promise<void> {
  opening++;
  try {
    const server = await connect();
    open.push(server);
    void server.hangup.then(() => {
      const at = open.indexOf(server);
      if (at === -1) return;
      open.splice(at, 1);
      server.destroy();
    });
  } catch {
    // The next client tries again.
  } finally {
    opening--;
  }
}

async function serve(client: Endpoint): Promise<void> {
  try {
    // An hour, because another hop may have opened this one in advance.
    const first = await client.read(deadlineIn(hourMs, "hello_timeout"));
    if (first === undefined) return client.destroy();
    const server = open.shift() ?? (await connect());
    server.write(first);
    transport.splice(client, server, limits);
    while (open.length + opening < ahead) void openAhead();
  } catch {
    client.destroy();
  }
}

await transport.listen({ address: { kind: "tcp", host: "127.0.0.1", port }, accept: serve });
