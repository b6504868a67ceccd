import { type Address, formatAddress } from "../base/address.js";
import { codeOf, messageOf } from "../base/errors.js";
import type { Settings } from "./settings.js";

const explanations: Readonly<Record<string, string>> = {
  EADDRINUSE: "another process listens there already",
  EADDRNOTAVAIL: "no network interface of this machine has this address",
  EACCES: "this process may not listen there",
  ENOTFOUND: "the host cannot be looked up",
  EAI_AGAIN: "the host cannot be looked up",
};

/** One line on why a proxy did not start: what could not be listened on is named by its key. */
export function startProblem(error: unknown, settings: Settings): string {
  const code = codeOf(error);
  if (code !== "address_in_use" && code !== "address_unavailable") return messageOf(error);
  const message = messageOf(error);
  const found = listens(settings).find(
    ({ where }) => message.startsWith(`${where}:`) || message.includes(` ${where}:`),
  );
  const cause = (error as { cause?: NodeJS.ErrnoException }).cause?.code ?? "";
  const why = explanations[cause];
  if (found === undefined || why === undefined) return message;
  return `${found.key} ${found.where}: ${why}`;
}

function listens(settings: Settings): { readonly key: string; readonly where: string }[] {
  if (!("tls" in settings)) return [];
  const { tls, rendezvous, mesh, admin } = settings;
  const named = (key: string, addresses: readonly Address[] = []) =>
    addresses.map((address) => ({ key, where: formatAddress(address) }));
  return [
    ...named("tls.listen", tls.listen),
    ...named("rendezvous.listen", rendezvous.listen),
    ...named("mesh.listen", mesh.listen),
    ...named("admin.listen", admin.listen),
  ];
}
