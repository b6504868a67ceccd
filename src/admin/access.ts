import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";

/**
 * Whether a Host header names this endpoint. A page that made a browser resolve its own name to this address (DNS
 * rebinding) carries that name here, so names other than localhost and the configured one are refused.
 */
export function knownHost(header: string | undefined, configured: string): boolean {
  if (header === undefined) return false;
  const host = header
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1")
    .toLowerCase();
  return host === "localhost" || isIP(host) !== 0 || host === configured;
}

/** Whether a browser sent the request on behalf of another site. */
export function foreignOrigin({ origin, host }: IncomingHttpHeaders): boolean {
  if (origin === undefined) return false;
  return origin !== `http://${host}` && origin !== `https://${host}`;
}

/** Whether the Authorization header carries the token. Compared by digest: in constant time, whatever the lengths. */
export function authorizes(header: string | undefined, token: string | undefined): boolean {
  const presented = /^Bearer (.+)$/i.exec(header ?? "")?.[1];
  if (presented === undefined || token === undefined) return false;
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(presented), digest(token));
}
