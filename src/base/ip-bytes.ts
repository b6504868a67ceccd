/**
 * Writes the four bytes of a dotted IPv4 address at `offset`; false where the text is none (leading zeros are none
 * either), with `into` possibly touched. Reads the characters directly: this runs for every connection.
 */
export function writeIpv4(text: string, into: Uint8Array, offset: number): boolean {
  let octet = 0;
  let digits = 0;
  let index = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (character === 0x2e) {
      if (digits === 0 || index === 3) return false;
      into[offset + index] = octet;
      index += 1;
      octet = 0;
      digits = 0;
      continue;
    }
    if (character < 0x30 || character > 0x39 || (digits > 0 && octet === 0)) return false;
    octet = octet * 10 + character - 0x30;
    digits += 1;
    if (octet > 255) return false;
  }
  if (index !== 3 || digits === 0) return false;
  into[offset + 3] = octet;
  return true;
}

/** The same for the sixteen bytes of an IPv6 address (RFC 4291 §2.2), a zone (`%eth0`) left out. */
export function writeIpv6(text: string, into: Uint8Array, offset: number): boolean {
  const zone = text.indexOf("%");
  const end = zone === -1 ? text.length : zone;
  let groups = 0;
  let gap = -1;
  let at = 0;
  if (text.startsWith("::")) {
    gap = 0;
    at = 2;
  }
  while (at < end) {
    const start = at;
    let value = 0;
    for (let digit = hexDigit(text, at); digit !== -1 && at < end; digit = hexDigit(text, at)) {
      value = (value << 4) | digit;
      at += 1;
    }
    if (at < end && text[at] === ".") {
      if (groups > 6 || !writeIpv4(text.slice(start, end), into, offset + 2 * groups)) return false;
      groups += 2;
      break;
    }
    if (at === start || at - start > 4 || groups === 8) return false;
    into[offset + 2 * groups] = value >> 8;
    into[offset + 2 * groups + 1] = value & 0xff;
    groups += 1;
    if (at === end) break;
    if (text[at] !== ":" || at + 1 === end) return false;
    at += 1;
    if (text[at] === ":") {
      if (gap !== -1) return false;
      gap = groups;
      at += 1;
    }
  }
  if (gap === -1) return groups === 8;
  if (groups === 8) return false;
  // What stands after the gap belongs at the end.
  const tail = offset + 16 - 2 * (groups - gap);
  into.copyWithin(tail, offset + 2 * gap, offset + 2 * groups);
  into.fill(0, offset + 2 * gap, tail);
  return true;
}

/** The value of the hexadecimal digit at `at`, or -1. */
function hexDigit(text: string, at: number): number {
  const character = text.charCodeAt(at);
  if (character >= 0x30 && character <= 0x39) return character - 0x30;
  const lower = character | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

export function withoutZone(address: string): string {
  const percent = address.indexOf("%");
  return percent === -1 ? address : address.slice(0, percent);
}

export function readIpv4(bytes: Uint8Array, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

/** The canonical text of RFC 5952; an IPv4-mapped address ends dotted, as Node prints it (§5). */
export function readIpv6(bytes: Uint8Array, offset: number): string {
  const groups: number[] = [];
  for (let at = offset; at < offset + 16; at += 2) groups.push((bytes[at]! << 8) | bytes[at + 1]!);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${readIpv4(bytes, offset + 12)}`;
  }
  const gap = longestZeroRun(groups);
  const texts = groups.map((group) => group.toString(16));
  if (gap.length < 2) return texts.join(":");
  return `${texts.slice(0, gap.start).join(":")}::${texts.slice(gap.start + gap.length).join(":")}`;
}

/** The first of the longest runs of zero groups (RFC 5952 §4.2.3). */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let longest = { start: 0, length: 0 };
  let length = 0;
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    if (length > longest.length) longest = { start: index - length + 1, length };
  }
  return longest;
}
