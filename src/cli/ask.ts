import { askAdmin } from "../admin/client.js";
import { formatAddress } from "../base/address.js";
import { codeOf, messageOf } from "../base/errors.js";
import { adminTarget, type TargetOptions } from "./admin-target.js";
import { exitFailed, exitSettings } from "./exit.js";

/** The answer of a running proxy, or the exit status of a command that has said on standard error why there is none. */
export type Asked = { readonly status: "answered"; readonly body: object } | { readonly exit: number };

/** Asks the running proxy that `--admin` or the settings lead to. */
export async function askRunning(options: TargetOptions, method: "GET" | "POST", path: string): Promise<Asked> {
  try {
    const target = adminTarget(options);
    const { status, body } = await askAdmin(target, method, path);
    if (typeof body !== "object" || body === null) {
      console.error(`what answers at ${formatAddress(target.address)} is no proxy's admin endpoint`);
      return { exit: exitFailed };
    }
    if (status === 200) return { status: "answered", body };
    console.error((body as { error?: string }).error ?? `the proxy answered with status ${status}`);
    return { exit: exitFailed };
  } catch (error) {
    console.error(messageOf(error));
    return { exit: codeOf(error) === "settings_invalid" ? exitSettings : exitFailed };
  }
}
