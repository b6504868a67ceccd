import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { helloFor, sha256 } from "../harness/checked/operation.js";
import type { Cluster } from "./cluster.js";
import type { Fault } from "./plan.js";

/** When a public proxy was killed: who was refused then need not have heard of it. */
export interface Killing {
  readonly name: string;
  /** Wall clock. */
  readonly at: number;
}

/** Does what the fault says, and undoes it after its time. */
export async function strike(fault: Fault, cluster: Cluster, killings: Killing[]): Promise<void> {
  switch (fault.what) {
    case "kill": {
      const victim = cluster.members[fault.victim]!;
      killings.push({ name: victim.name, at: Date.now() });
      await victim.kill();
      await pause(fault.forMs);
      return victim.start();
    }
    case "stop": {
      const victim = cluster.members[fault.victim]!;
      victim.signal("SIGSTOP");
      await pause(fault.forMs);
      return victim.signal("SIGCONT");
    }
    case "crowd":
      return crowd(cluster, fault);
  }
  const { [fault.link]: link } = cluster.links;
  const struck = fault.ways.map((way) => link![way]);
  switch (fault.what) {
    case "reset":
      for (const way of struck) way.resetAll();
      return;
    case "halfOpen":
      for (const way of struck) way.halfOpenAll(fault.left);
      await pause(fault.forMs);
      for (const way of struck) way.settleOrphans();
      return;
    default:
      for (const way of struck) way.become(fault.what);
      await pause(fault.forMs);
      for (const way of struck) way.become("whole");
  }
}

/**
 * More clients than the second public proxy has descriptors for: every other one is silent from the beginning, the others are
 * served and then silent.
 */
async function crowd(
  { publics, names }: Cluster,
  { clients, forMs }: { clients: number; forMs: number },
): Promise<void> {
  const hello = helloFor({ run: 0, serial: 0, kind: "transfer", up: 1, down: 0 }, names[0]!, 0);
  const first = Buffer.concat([hello, sha256(hello)]);
  const sockets: Socket[] = [];
  for (let i = 0; i < clients; i++) {
    const socket = connect({ port: publics[1]!.tlsPort, host: "127.0.0.1" });
    socket.on("error", () => {});
    socket.resume();
    if (i % 2 === 1) socket.write(first);
    sockets.push(socket);
    if (i % 20 === 19) await pause(20);
  }
  await pause(forMs);
  for (const socket of sockets) socket.destroy();
}
