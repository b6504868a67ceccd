import { createHash } from "node:crypto";
import { encodeHello, serverName } from "../../unit/tls-sni-encoder.js";

/**
 * One checked connection, as client and server both know it: the hello's random carries it, which no proxy looks at. All bytes
 * follow from `run` and `serial`, so that another client's bytes are wrong ones.
 *
 * Up: hello, its SHA-256, `up` bytes, FIN. Down: `+`, the hello's random, `down` bytes, SHA-256 of what came up, FIN.
 */
export interface Operation {
  readonly run: number;
  readonly serial: number;
  /**
   * `transfer`: both directions at once. `talk`: a message up, a message down, a pause, and so on. `serverLeaves`: the server
   * resets when it has sent half.
   */
  readonly kind: (typeof kinds)[number];
  readonly up: number;
  readonly down: number;
}

export const kinds = ["transfer", "talk", "serverLeaves"] as const;
/** Of a talk. */
export const messageBytes = 64;
export const digestBytes = 32;

/** Record header (5), message header (4), legacy_version (2): RFC 8446 §4.1.2. */
const randomAt = 11;
const randomBytes = 32;
const mark = Buffer.from("checked!");
/** What the server says before all else: the mark of who is served, and whom it takes the client for. */
export const servedByte = 0x2b;
export const greetingBytes = 1 + randomBytes;

export function keyOf({ run, serial }: Operation, direction: "up" | "down"): string {
  return `${run}:${serial}:${direction}`;
}

/** `padding` bytes more than it needs; it stays one record up to 15,000. */
export function helloFor(operation: Operation, name: string, padding: number): Buffer {
  const { run, serial, kind, up, down } = operation;
  const random = Buffer.alloc(randomBytes);
  mark.copy(random);
  for (const [at, value] of [run, serial, up, down].entries()) random.writeUInt32BE(value, mark.length + 4 * at);
  random[24] = kinds.indexOf(kind);
  return encodeHello({ random, extensions: [{ type: 21, body: Buffer.alloc(padding) }, serverName(name)] });
}

export function greetingFor(hello: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(servedByte), hello.subarray(randomAt, randomAt + randomBytes)]);
}

export function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** `more`: too few bytes to say. `stranger`: a hello that is none of ours. */
export type FoundHello =
  | { readonly status: "more" }
  | { readonly status: "stranger" }
  | { readonly status: "damaged"; readonly problem: string }
  | { readonly status: "ours"; readonly operation: Operation; readonly hello: Buffer; readonly rest: Buffer };

/** Finds the operation in the first bytes of a connection, and checks the hello against its digest. */
export function findHello(bytes: Buffer): FoundHello {
  if (bytes.length < randomAt + randomBytes) return { status: "more" };
  const random = bytes.subarray(randomAt, randomAt + randomBytes);
  if (!random.subarray(0, mark.length).equals(mark)) return { status: "stranger" };
  const helloBytes = 5 + bytes.readUInt16BE(3);
  if (bytes.length < helloBytes + digestBytes) return { status: "more" };
  const hello = bytes.subarray(0, helloBytes);
  if (!sha256(hello).equals(bytes.subarray(helloBytes, helloBytes + digestBytes)))
    return { status: "damaged", problem: "the hello is not what its SHA-256 says" };
  const [run, serial, up, down] = [8, 12, 16, 20].map((at) => random.readUInt32BE(at)) as [
    number,
    number,
    number,
    number,
  ];
  const operation = { run, serial, up, down, kind: kinds[random[24]!]! };
  return { status: "ours", operation, hello, rest: bytes.subarray(helloBytes + digestBytes) };
}
