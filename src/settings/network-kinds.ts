import { isIP } from "node:net";
import { resolve } from "node:path";
import { type Address, formatAddress, isAddress, parseAddress } from "../base/address.js";
import { parseAllowance } from "./allowance.js";
import { type Kind, textKind, type Understood } from "./kinds.js";
import type { Place } from "./place.js";
import { checkServerName, checkServerNamePattern } from "./server-name.js";

const anyAddress = "host:port, [v6]:port or unix:/path";

/** Where to listen. Port 0 lets the system choose. */
export const listenAddress: Kind<Address> = textKind(anyAddress, (text, place) => addressOf(text, place));

/** Where to connect to. */
export const peerAddress: Kind<Address> = textKind(anyAddress, (text, place) => dialable(addressOf(text, place)));

/** Where to connect to over TCP. */
export const tcpPeerAddress: Kind<Address> = textKind("host:port or [v6]:port", (text, place) =>
  overTcp(dialable(addressOf(text, place)), "a unix socket leads to no other machine"),
);

/** The admin address. Its unix socket has a key of its own, because there the file's mode guards it. */
export const adminAddress: Kind<Address> = textKind("host:port or [v6]:port", (text, place) =>
  overTcp(addressOf(text, place), "a unix socket is given as admin.socket"),
);

/** What private proxies are told to dial: the text as it goes to them. */
export const advertisedEndpoint: Kind<string> = textKind("host:port, [v6]:port or :port", (text, place) => {
  const parsed = overTcp(
    dialable(addressOf(text, place, { hostOptional: true })),
    "private proxies dial back over TCP",
  );
  return "problem" in parsed ? parsed : { value: formatAddress(parsed.value) };
});

/** A host or a network that may be dialled for a rendezvous. Kept as text, which `parseAllowance` reads. */
export const allowedEndpoint: Kind<string> = textKind(
  "a host or a network (CIDR), with or without a port; IPv6 with a port in brackets",
  (text) => {
    const parsed = parseAllowance(text);
    return "problem" in parsed ? parsed : { value: text.toLowerCase() };
  },
);

/** An IP address or a network of them. */
export const networkOrAddress: Kind<string> = textKind(
  "an IP address or a network (CIDR): 10.0.0.0/8, fd00::/8",
  (text) => {
    const parsed = parseAllowance(text);
    if ("problem" in parsed) return parsed;
    if (parsed.port !== undefined || isIP(parsed.host) === 0)
      return { problem: "expected an IP address or a network (CIDR)" };
    return { value: text.toLowerCase() };
  },
);

export const serverNamePattern: Kind<string> = textKind(
  "a server-name pattern: a.example.com, *.example.com, **.example.com or *",
  (text) => {
    const checked = checkServerNamePattern(text);
    return "problem" in checked ? checked : { value: checked.pattern };
  },
);

/** A host name without wildcards, or nothing. */
export const optionalServerName: Kind<string> = textKind("a host name, or empty", (text) => {
  if (text === "") return { value: text };
  const checked = checkServerName(text);
  return "problem" in checked ? checked : { value: checked.pattern };
});

/** Kept as written: what a bare name means is for whoever compares identities. */
export const identityPattern: Kind<string> = textKind("an identity: NAME, dns:NAME or uri:URI", (text) => {
  if (text.startsWith("uri:"))
    return /^uri:[\x21-\x7e]{1,2048}$/.test(text) ? { value: text } : { problem: "expected a URI after uri:" };
  const name = text.replace(/^dns:/, "");
  if (name === "") return { problem: "the identity is empty, expected NAME, dns:NAME or uri:URI" };
  if (name.includes("://")) return { problem: `a URI is written with its prefix: uri:${name}` };
  if (/^[A-Za-z0-9_.*-]{1,253}$/.test(name)) return { value: text };
  return { problem: "expected NAME, dns:NAME (letters, digits, hyphen, underscore and dot) or uri:URI" };
});

/** An ALPN protocol name has 1-255 bytes (RFC 7301 §3.1). */
export const alpnName: Kind<string> = textKind("an ALPN protocol name of 1-255 bytes", (text) => {
  const bytes = Buffer.byteLength(text);
  return bytes >= 1 && bytes <= 255 ? { value: text } : { problem: `expected 1-255 bytes, found ${bytes}` };
});

function addressOf(text: string, place: Place, options: { hostOptional?: boolean } = {}): Understood<Address> {
  const path = text.startsWith("unix:") ? text.slice("unix:".length) : "";
  const parsed = parseAddress(path === "" ? text : `unix:${resolve(place.directory, path)}`, options);
  return isAddress(parsed) ? { value: parsed } : parsed;
}

function dialable(parsed: Understood<Address>): Understood<Address> {
  const zero = "value" in parsed && parsed.value.kind === "tcp" && parsed.value.port === 0;
  return zero ? { problem: "port 0 cannot be dialled, expected 1-65535" } : parsed;
}

function overTcp(parsed: Understood<Address>, otherwise: string): Understood<Address> {
  const allowed = "expected host:port or [v6]:port";
  if ("problem" in parsed) return parsed.problem.startsWith("expected") ? { problem: allowed } : parsed;
  return parsed.value.kind === "unix" ? { problem: `${otherwise}, ${allowed}` } : parsed;
}
