import type { DrainStarted } from "../admin/commands.js";
import type { TargetOptions } from "./admin-target.js";
import { askRunning } from "./ask.js";
import { exitDone } from "./exit.js";

/** Resolves with the exit status when the draining has begun. */
export async function drainProxy(options: TargetOptions): Promise<number> {
  const asked = await askRunning(options, "POST", "/drain");
  if ("exit" in asked) return asked.exit;
  const { live, graceMs } = asked.body as DrainStarted;
  const connections = live === 1 ? "1 connection has" : `${live} connections have`;
  console.log(`draining: ${connections} up to ${graceMs} ms to finish, then it exits`);
  return exitDone;
}
