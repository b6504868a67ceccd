import type { TargetOptions } from "./admin-target.js";
import { askRunning } from "./ask.js";
import { exitDone } from "./exit.js";

/** Resolves with the exit status. */
export async function reloadProxy(options: TargetOptions): Promise<number> {
  const asked = await askRunning(options, "POST", "/reload");
  if ("exit" in asked) return asked.exit;
  const { needsRestart = [] } = asked.body as { readonly needsRestart?: readonly string[] };
  console.log("settings reloaded");
  if (needsRestart.length > 0) console.log(`needs a restart to take effect: ${needsRestart.join(", ")}`);
  return exitDone;
}
