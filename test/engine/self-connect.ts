import { writeFileSync } from "node:fs";
import { deadlineIn } from "../../src/base/deadline.js";
import { ProxyError } from "../../src/base/errors.js";
import { engineUnderTest } from "./engines.js";

/**
 * A process in a network of its own, where each connection has only one port to come from. Connects to that very port,
 * once for each address on the command line, and prints what became of it, a line each.
 */
const transport = engineUnderTest();
let port = 40_000;
for (const ip of process.argv.slice(2)) {
  // Another one each time: the last one is not free at once.
  port += 2;
  writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", `${port} ${port}`);
  const connecting = transport.connect({ kind: "tcp", ip, port }, deadlineIn(2000, "connect_timeout"));
  const became = await connecting.connected.then(
    ({ local, remote }) => JSON.stringify({ local, remote }),
    (error) => (error instanceof ProxyError ? `${error.code}: ${error.message}` : String(error)),
  );
  console.log(`${ip} ${became}`);
}
process.exit(0);
