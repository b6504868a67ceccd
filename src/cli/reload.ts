import { askAdmin } from "../admin/client.js";
import { codeOf, messageOf } from "../base/errors.js";
import { adminTarget } from "./admin-target.js";
import { exitDone, exitFailed, exitSettings } from "./exit.js";

/** Resolves with the exit status. */
export async function reloadProxy(options: { settings?: string; admin?: string }): Promise<number> {
  try {
    const { status, body } = await askAdmin(adminTarget(options), "POST", "/reload");
    if (status !== 200) {
      console.error(`proxy reload: ${(body as { error?: string }).error ?? `status ${status}`}`);
      return exitFailed;
    }
    const { needsRestart } = body as { needsRestart: readonly string[] };
    console.log("settings reloaded");
    if (needsRestart.length > 0) console.log(`needs a restart to take effect: ${needsRestart.join(", ")}`);
    return exitDone;
  } catch (error) {
    console.error(messageOf(error));
    return codeOf(error) === "settings_invalid" ? exitSettings : exitFailed;
  }
}
