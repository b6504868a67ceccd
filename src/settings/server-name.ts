import { isIPv4 } from "node:net";

/** A server-name pattern in its one written form: lower case, no trailing dot. */
export type PatternText = { readonly pattern: string } | { readonly problem: string };

const longestName = 253;
const label = /^[a-z0-9_-]{1,63}$/;
const allowed = "a.example.com, *.example.com, **.example.com or *";

/**
 * Checks a server-name pattern: a name matches itself, `*.` before it one label, `**.` one label or more, and `*` alone
 * everything. Labels are letters, digits, hyphen and underscore, 1-63 bytes, 253 in all (RFC 1035 §2.3.4).
 */
export function checkServerNamePattern(text: string): PatternText {
  if (text === "*") return { pattern: text };
  const pattern = normal(text);
  const problem = nameProblem(pattern.replace(/^\*\*?\./, ""), pattern);
  return problem === undefined ? { pattern } : { problem: `${problem}; allowed: ${allowed}` };
}

/** The same for a name without wildcards. */
export function checkServerName(text: string): PatternText {
  const name = normal(text);
  const problem = nameProblem(name, name);
  return problem === undefined ? { pattern: name } : { problem };
}

function normal(text: string): string {
  return text.toLowerCase().replace(/\.$/, "");
}

function nameProblem(name: string, whole: string): string | undefined {
  if (name === "") return "the name is empty";
  if (whole.length > longestName) return `the name has ${whole.length} bytes, at most ${longestName} are possible`;
  if (isIPv4(name) || name.includes(":")) return "an IP address is not a server name (RFC 6066 §3)";
  for (const part of name.split(".")) {
    if (label.test(part)) continue;
    if (part === "") return "a label is empty";
    if (part.includes("*")) return "an asterisk can only be the whole first label";
    if (/[^\x20-\x7e]/.test(part)) return "a name beyond ASCII is written in its xn-- form";
    if (part.length > 63) return `a label has ${part.length} bytes, at most 63 are possible`;
    return `the label ${JSON.stringify(part)} holds more than letters, digits, hyphen and underscore`;
  }
  return undefined;
}
