import type { Identity } from "./identity.js";

/**
 * Whether a grant's `identity` means this identity. `dns:NAME`, `uri:URI`, or a bare NAME, which means `dns:`. DNS names
 * are compared in lower case, URIs exactly. `*` stands for one DNS label, or for one segment of a URI's path; `**` for
 * one or more, so that `**.example.com` does not mean the bare domain, as with server names. Each must be a whole label
 * or segment; in a URI's scheme and authority they mean nothing, and no identity holds them.
 */
export function identityMatches(grantIdentity: string, identity: Identity): boolean {
  const pattern = typed(grantIdentity);
  if (pattern.type !== identity.type) return false;
  if (pattern.type === "dns") {
    return partsMatch(pattern.value.toLowerCase().split("."), identity.value.split("."), () => true);
  }
  if (pattern.value === identity.value) return true;
  const wanted = splitUri(pattern.value);
  const given = splitUri(identity.value);
  return wanted.beginning === given.beginning && partsMatch(wanted.segments, given.segments, isPlainSegment);
}

function typed(text: string): { type: Identity["type"]; value: string } {
  if (text.startsWith("uri:")) return { type: "uri", value: text.slice(4) };
  return { type: "dns", value: text.startsWith("dns:") ? text.slice(4) : text };
}

/** Scheme and authority, which only match exactly, and the segments of the path. */
function splitUri(uri: string): { beginning: string; segments: string[] } {
  const beginning = /^[^:/]*:(?:\/\/[^/]*)?/.exec(uri)?.[0] ?? "";
  return { beginning, segments: uri.slice(beginning.length).split("/") };
}

/** What a wildcard may stand for: nothing empty, nothing that a resolver would take away, no query, no fragment. */
function isPlainSegment(segment: string): boolean {
  return segment !== "" && segment !== "." && segment !== ".." && !/[?#]/.test(segment);
}

/**
 * Matches parts against a pattern's parts in one walk: after a mismatch the last `**` takes one part more, which is
 * enough, for an earlier one could only take what the last can take too.
 */
function partsMatch(pattern: readonly string[], parts: readonly string[], wild: (part: string) => boolean): boolean {
  let at = 0;
  let next = 0;
  let retry: { pattern: number; part: number } | undefined;
  while (next < parts.length) {
    const part = parts[next]!;
    const wanted = pattern[at];
    if (wanted === "**" && wild(part)) {
      at += 1;
      next += 1;
      retry = { pattern: at, part: next };
    } else if (wanted === part || (wanted === "*" && wild(part))) {
      at += 1;
      next += 1;
    } else if (retry !== undefined && retry.part < parts.length && wild(parts[retry.part]!)) {
      retry.part += 1;
      at = retry.pattern;
      next = retry.part;
    } else {
      return false;
    }
  }
  return at === pattern.length;
}
