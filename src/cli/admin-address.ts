import { resolve } from "node:path";
import { type Address, type AddressProblem, isAddress, parseAddress } from "../base/address.js";

/** Reads what `--admin` says: `http://host:port`, `host:port`, or the path of a unix socket. */
export function parseAdminAddress(text: string): Address | AddressProblem {
  if (text === "") return { problem: "it is empty" };
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === "http") return parseUrl(text);
  if (scheme !== undefined) return { problem: `${scheme}:// is not spoken there, expected http://` };
  const tcp = text.startsWith("unix:") ? undefined : parseAddress(text);
  if (tcp !== undefined && isAddress(tcp)) return tcp;
  return parseAddress(`unix:${resolve(text.replace(/^unix:/, ""))}`);
}

function parseUrl(text: string): Address | AddressProblem {
  if (!URL.canParse(text)) return { problem: "expected http://host:port" };
  const { host, port } = new URL(text);
  return parseAddress(port === "" ? `${host}:80` : host);
}
