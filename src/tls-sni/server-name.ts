/** A DNS name in text form, without the trailing dot (RFC 1035 §2.3.4, less the root). */
export const maxNameBytes = 253;

/** Tried before the name is lowered: U+212A would become "k". */
const hostName = /^[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*$/;

/** Dotted quads, and the other forms that inet_aton and URL parsers take for an IPv4 address. */
const numbersOnly = /^(?:0[xX][0-9A-Fa-f]*|[0-9]+)(?:\.(?:0[xX][0-9A-Fa-f]*|[0-9]+))*$/;

/**
 * The one form in which names are compared: lower case, one trailing dot dropped. Undefined for what is not a DNS host
 * name: an empty or too long label, an IP address, a character other than letters, digits, hyphen and underscore
 * (IDNs come as A-labels). RFC 6066 §3.
 */
export function canonicalName(text: string): string | undefined {
  const name = withoutRoot(text);
  return isHostName(name) ? name.toLowerCase() : undefined;
}

function withoutRoot(text: string): string {
  return text.endsWith(".") ? text.slice(0, -1) : text;
}

function isHostName(name: string): boolean {
  return name.length <= maxNameBytes && hostName.test(name) && !isNumeric(name);
}

function isNumeric(name: string): boolean {
  const first = name.charCodeAt(0);
  return first >= 0x30 && first <= 0x39 && numbersOnly.test(name);
}

/** Why `canonicalName` refuses a text, for whoever wrote it; undefined where it does not. */
export function nameProblem(text: string): string | undefined {
  const name = withoutRoot(text);
  if (isHostName(name)) return undefined;
  if (name === "") return "the name is empty";
  const bad = /[^A-Za-z0-9_.-]/u.exec(name)?.[0];
  if (bad !== undefined) {
    if (bad.codePointAt(0)! > 0x7f)
      return `${JSON.stringify(bad)} is not ASCII: write the name as an A-label (xn--...)`;
    if (bad === "*") return "`*` may stand only for the first labels: `*.`, `**.` or `*` alone";
    return `${JSON.stringify(bad)} is not a letter, digit, hyphen, underscore or dot`;
  }
  const labels = name.split(".");
  if (labels.includes("")) return "a label is empty";
  const long = labels.find((label) => label.length > 63);
  if (long !== undefined)
    return `the label ${long.slice(0, 16)}... has ${long.length} characters, at most 63 are possible`;
  if (name.length > maxNameBytes) return `it has ${name.length} characters, at most ${maxNameBytes} are possible`;
  return "IP addresses are not server names";
}
