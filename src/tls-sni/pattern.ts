import { canonicalName, maxNameBytes, nameProblem } from "./server-name.js";

/** A set of server names. Made by `parsePattern` only. */
export interface Pattern {
  /**
   * - `exact`: `a.example.com`, that name;
   * - `one-label`: `*.example.com`, one label in front, as in certificates (RFC 9525 §6.3);
   * - `any-label`: `**.example.com`, one label or more in front;
   * - `all`: `*`, every name, and clients that send none.
   */
  readonly kind: "exact" | "one-label" | "any-label" | "all";
  /** The canonical text: patterns are the same if and only if their texts are. */
  readonly text: string;
  /** The name itself, or what stands behind the wildcard and its dot; empty for `all`. */
  readonly name: string;
}

export type ParsedPattern =
  | { readonly status: "ok"; readonly pattern: Pattern }
  | { readonly status: "invalid"; readonly problem: string };

/** Reads a pattern as people write it: any case, with or without a trailing dot. Surrounding space is not forgiven. */
export function parsePattern(text: string): ParsedPattern {
  if (text === "*") return { status: "ok", pattern: { kind: "all", text, name: "" } };
  if (text === "**")
    return { status: "invalid", problem: "`**` needs a name behind it; `*` alone stands for everything" };
  const wildcard = text.startsWith("**.") ? "**." : text.startsWith("*.") ? "*." : "";
  const rest = text.slice(wildcard.length);
  const name = canonicalName(rest);
  if (name === undefined) return { status: "invalid", problem: nameProblem(rest) ?? "not a server name" };
  // A pattern that no name can match would be a mistake, and would make "covers" a riddle.
  if (wildcard !== "" && name.length > maxNameBytes - 2) {
    return { status: "invalid", problem: `behind the wildcard at most ${maxNameBytes - 2} characters are possible` };
  }
  const kind = wildcard === "" ? "exact" : wildcard === "*." ? "one-label" : "any-label";
  return { status: "ok", pattern: { kind, text: wildcard + name, name } };
}

/** Whether `name`, as the reader gives it (undefined: the client sent none), is one of the pattern's. */
export function patternMatches(pattern: Pattern, name: string | undefined): boolean {
  if (pattern.kind === "all") return true;
  if (name === undefined) return false;
  switch (pattern.kind) {
    case "exact":
      return name === pattern.name;
    case "one-label":
      return isBelow(name, pattern.name) && name.indexOf(".") === name.length - pattern.name.length - 1;
    case "any-label":
      return isBelow(name, pattern.name);
  }
}

/** Whether every name that `announced` matches, and a missing name where it matches that, is matched by `grant`. */
export function patternCovers(grant: Pattern, announced: Pattern): boolean {
  if (grant.kind === "all") return true;
  switch (announced.kind) {
    case "all":
      return false;
    case "exact":
      return patternMatches(grant, announced.name);
    case "one-label":
      return grant.kind === "one-label" ? grant.name === announced.name : coversBelow(grant, announced);
    case "any-label":
      return coversBelow(grant, announced) || (grant.text === `*.${announced.name}` && !hasRoomForTwoLabels(announced));
  }
}

/** Names below a suffix are unboundedly many, so only a pattern of any depth holds them all. */
function coversBelow(grant: Pattern, announced: Pattern): boolean {
  return grant.kind === "any-label" && (grant.name === announced.name || isBelow(announced.name, grant.name));
}

/** Behind a suffix near the limit of 253 there is room for `a.`, but not for `a.a.`: then `**.` means the same as `*.`. */
function hasRoomForTwoLabels(pattern: Pattern): boolean {
  return pattern.name.length <= maxNameBytes - 4;
}

/** On a label boundary: `evilexample.com` is not below `example.com`. */
function isBelow(name: string, suffix: string): boolean {
  const dot = name.length - suffix.length - 1;
  return dot > 0 && name.charCodeAt(dot) === 0x2e && name.endsWith(suffix);
}
