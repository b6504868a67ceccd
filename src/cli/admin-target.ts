import type { AdminTarget } from "../admin/client.js";
import { type Address, isLoopback } from "../base/address.js";
import { ProxyError } from "../base/errors.js";
import { formatProblem } from "../settings/problem.js";
import type { PrivateSettings, PublicSettings } from "../settings/types.js";
import { locateSettings } from "./settings.js";

export interface TargetOptions {
  readonly settings?: string;
  readonly admin?: Address;
}

const otherwise = "or name the endpoint with --admin";

/** Finds a running proxy by `--admin`, or by the settings it runs with. Throws `settings_invalid`. */
export function adminTarget(options: TargetOptions): AdminTarget {
  const token = process.env.PROXY_ADMIN_TOKEN;
  if (options.admin !== undefined) return { address: options.admin, token };
  return targetOf(settingsOfEitherRole(options.settings), token);
}

/** Which role the settings are for is not asked: they are good settings for one role only. */
function settingsOfEitherRole(path: string | undefined): PublicSettings | PrivateSettings {
  const results = [locateSettings("public", path), locateSettings("private", path)];
  for (const result of results) if (result.status === "ok") return result.settings;
  const [nearest] = results
    .flatMap((result) => (result.status === "invalid" ? [result.problems] : []))
    .sort((a, b) => a.length - b.length);
  throw new ProxyError("settings_invalid", (nearest ?? []).map(formatProblem).join("\n"));
}

/** The socket, where there is one: it needs no token. Else an address on loopback before others. */
function targetOf(settings: PublicSettings | PrivateSettings, ofEnvironment: string | undefined): AdminTarget {
  const { admin } = settings;
  if (admin.socket !== undefined) return { address: { kind: "unix", path: admin.socket }, token: undefined };
  const token = ("token" in admin ? admin.token : undefined) ?? ofEnvironment;
  const listen = "listen" in admin ? (admin.listen ?? []) : [];
  const addresses = listen.map(dialable);
  const address = addresses.find(({ kind, ...at }) => kind === "unix" || isLoopback("host" in at ? at.host : ""));
  const chosen = address ?? addresses[0];
  if (chosen === undefined) {
    const keys = "tls" in settings ? "admin.socket or admin.listen" : "admin.socket";
    throw new ProxyError("settings_invalid", `these settings open no admin endpoint: set ${keys}, ${otherwise}`);
  }
  if (chosen.kind === "tcp" && chosen.port === 0) {
    throw new ProxyError("settings_invalid", `admin.listen leaves the port to the system: set one, ${otherwise}`);
  }
  return { address: chosen, token };
}

/** Who listens everywhere is found on loopback. */
function dialable(address: Address): Address {
  if (address.kind === "unix") return address;
  const host = address.host === "0.0.0.0" ? "127.0.0.1" : address.host === "::" ? "::1" : address.host;
  return { ...address, host };
}
