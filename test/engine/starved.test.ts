import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import test from "ava";
import { assertNothingLeft } from "../harness/leaks.js";
import { rawConnect } from "./peers.js";

assertNothingLeft(test);

const descriptorLimit = 60;
const starvedForMs = 600;

interface Line {
  readonly port?: number;
  readonly state?: "paused" | "resumed";
  readonly cpuMs?: number;
}

/** Whether the client gets its byte; false when it is turned away. A client that waits in a queue does neither. */
function served(client: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    client.once("data", () => resolve(true));
    client.once("end", () => resolve(false));
    client.once("error", () => resolve(false));
  });
}

const onLinux = process.platform === "linux" ? test : test.skip;
onLinux("out of descriptors it serves up to the limit, warns once, does not spin, and resumes by itself", async (t) => {
  const script = fileURLToPath(new URL("./starved-listener.js", import.meta.url));
  const command = `ulimit -n ${descriptorLimit}; exec "$0" "$1"`;
  const child = spawn("sh", ["-c", command, process.execPath, script], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  t.teardown(async () => {
    child.stdin.end();
    await exited;
  });
  const lines: Line[] = [];
  const reader = createInterface({ input: child.stdout });
  const nextLine = async (wanted: (line: Line) => boolean): Promise<Line> => {
    for (;;) {
      const found = lines.find(wanted);
      if (found) return found;
      await once(reader, "line");
    }
  };
  reader.on("line", (line) => lines.push(JSON.parse(line)));
  const port = (await nextLine((line) => line.port !== undefined)).port as number;

  let servedCount = 0;
  const count = (client: Socket) => {
    served(client).then((yes) => {
      if (yes) servedCount++;
    });
    return client;
  };
  const clients = Array.from({ length: descriptorLimit }, () => count(rawConnect(t, { port })));
  await nextLine((line) => line.state === "paused");

  // More clients come while it is starved, one after the other.
  const starvedUntil = performance.now() + starvedForMs;
  while (performance.now() < starvedUntil) {
    clients.push(count(rawConnect(t, { port })));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  t.true(servedCount >= descriptorLimit / 3, `${servedCount} clients were served`);
  t.true(servedCount < descriptorLimit, `${servedCount} clients were served`);
  t.is(lines.filter((line) => line.state === "paused").length, 1, "one warning");
  t.false(lines.some((line) => line.state === "resumed"));

  for (const client of clients) client.destroy();
  const { cpuMs } = await nextLine((line) => line.state === "resumed");
  t.true((cpuMs as number) < starvedForMs / 2, `${cpuMs} ms of CPU while starved`);
  t.true(await served(rawConnect(t, { port })), "a new client is served");
});
