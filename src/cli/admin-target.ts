import type { AdminTarget } from "../admin/client.js";
import { formatAddress } from "../base/address.js";
import { ProxyError } from "../base/errors.js";
import { formatProblem } from "../settings/problem.js";
import type { PrivateSettings, PublicSettings } from "../settings/types.js";
import { loadSettings } from "./settings.js";

/** Finds a running proxy by `--admin URL|SOCKET`, or by the settings it runs with. Throws `settings_invalid`. */
export function adminTarget(options: { settings?: string; admin?: string }): AdminTarget {
  const token = process.env.PROXY_ADMIN_TOKEN;
  if (options.admin !== undefined) {
    if (/^http:\/\//.test(options.admin)) return { url: options.admin, socket: undefined, token };
    return { url: undefined, socket: options.admin.replace(/^unix:/, ""), token };
  }
  return targetOf(settingsOfEitherRole(options.settings), token);
}

/** Which role the settings are for is not asked: they are good settings for one role only. */
function settingsOfEitherRole(path: string | undefined): PublicSettings | PrivateSettings {
  const results = [loadSettings("public", path), loadSettings("private", path)];
  for (const result of results) if (result.status === "ok") return result.settings;
  const [nearest] = results
    .flatMap((result) => (result.status === "invalid" ? [result.problems] : []))
    .sort((a, b) => a.length - b.length);
  throw new ProxyError("settings_invalid", (nearest ?? []).map(formatProblem).join("\n"));
}

function targetOf(settings: PublicSettings | PrivateSettings, token: string | undefined): AdminTarget {
  const { admin } = settings;
  if (admin.socket !== undefined) return { url: undefined, socket: admin.socket, token };
  const listen = "listen" in admin ? admin.listen : undefined;
  if (listen === undefined) {
    throw new ProxyError(
      "settings_invalid",
      "these settings open no admin endpoint: set admin.socket (or admin.listen on a public proxy)",
    );
  }
  if (listen.kind === "unix") return { url: undefined, socket: listen.path, token };
  const host = listen.host === "0.0.0.0" ? "127.0.0.1" : listen.host === "::" ? "::1" : listen.host;
  const ofSettings = "token" in admin ? admin.token : undefined;
  return { url: `http://${formatAddress({ ...listen, host })}`, socket: undefined, token: ofSettings ?? token };
}
