/** One element of DER (X.690): its tag byte and where its contents stand. */
export interface DerElement {
  readonly tag: number;
  readonly contents: Uint8Array;
}

export const derTags = { boolean: 0x01, octetString: 0x04, objectIdentifier: 0x06, sequence: 0x30 } as const;

/**
 * The elements that `bytes` are made of, one after the other; undefined where they are not whole elements in DER: an
 * indefinite length, a length in more bytes than it needs, a tag of several bytes, or an end that is cut off. What two
 * readers could read in two ways is read in none.
 */
export function readElements(bytes: Uint8Array): DerElement[] | undefined {
  const elements: DerElement[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!;
    const header = readLength(bytes, at + 1);
    if ((tag & 0x1f) === 0x1f || header === undefined) return undefined;
    const end = header.start + header.length;
    if (end > bytes.length) return undefined;
    elements.push({ tag, contents: bytes.subarray(header.start, end) });
    at = end;
  }
  return elements;
}

/** The elements inside the one element that `bytes` are; undefined where they are not one element with this tag. */
export function readInside(bytes: Uint8Array, tag: number): DerElement[] | undefined {
  const elements = readElements(bytes);
  const [element] = elements ?? [];
  return elements?.length === 1 && element?.tag === tag ? readElements(element.contents) : undefined;
}

function readLength(bytes: Uint8Array, at: number): { start: number; length: number } | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  if (first < 0x80) return { start: at + 1, length: first };
  const count = first & 0x7f;
  if (count === 0 || count > 3 || at + count >= bytes.length) return undefined;
  let length = 0;
  for (let index = 1; index <= count; index += 1) length = (length << 8) | bytes[at + index]!;
  const shortest = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
  return count === shortest ? { start: at + 1 + count, length } : undefined;
}
