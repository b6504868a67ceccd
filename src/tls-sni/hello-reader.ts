import { type ClientHello, readClientHello } from "./client-hello.js";
import { joinFragments, recordHeaderBytes, scanRecords, startScan } from "./records.js";
import type { HelloRejection } from "./rejection.js";

/** What the bytes fed so far amount to. */
export type HelloResult =
  | { readonly status: "more" }
  | {
      readonly status: "hello";
      readonly hello: ClientHello;
      /** Everything fed so far as it came, also what followed the hello. */
      readonly bytes: Uint8Array;
    }
  | { readonly status: "reject"; readonly reason: HelloRejection };

/** Reads the hello of one connection. */
export interface HelloReader {
  /**
   * Takes the next bytes as they came from the client, in pieces of any size, and never throws. The chunk is copied where
   * it is kept. After "hello" or "reject" the reader is spent: further calls repeat that result and keep nothing.
   */
  push(chunk: Uint8Array): HelloResult;
  /** Everything fed so far, up to and including the chunk that decided. The reader's own memory: not to be written to. */
  readonly bytes: Uint8Array;
}

/** Post-quantum hellos have under 2 KiB, session tickets with client data may make them 16; beyond 64 nobody is honest. */
export const defaultMaxHelloBytes = 65_536;

const firstBufferBytes = 1024;
const more: HelloResult = { status: "more" };
const nothing = Buffer.alloc(0);

/**
 * A reader for one connection. `maxHelloBytes` (default 65,536) bounds the handshake message, its 4-byte header included.
 * Every record must bring at least one byte, so no more than 6 times that is ever kept, plus the last chunk.
 */
export function createHelloReader(options: { maxHelloBytes?: number } = {}): HelloReader {
  const { maxHelloBytes = defaultMaxHelloBytes } = options;
  const scan = startScan();
  let kept = nothing;
  let length = 0;
  let final: HelloResult | undefined;

  function keep(chunk: Uint8Array): void {
    const needed = length + chunk.length;
    if (length === 0) {
      kept = Buffer.from(chunk);
    } else {
      if (needed > kept.length) {
        const larger = Buffer.allocUnsafe(Math.max(needed, kept.length * 2, firstBufferBytes));
        larger.set(length === kept.length ? kept : kept.subarray(0, length));
        kept = larger;
      }
      if (chunk.length === 1) kept[length] = chunk[0]!;
      else kept.set(chunk, length);
    }
    length = needed;
  }

  function fedSoFar(): Uint8Array {
    return length === kept.length ? kept : kept.subarray(0, length);
  }

  return {
    push(chunk) {
      if (final !== undefined) return final;
      // A first chunk is read where it lies: mostly it is the whole hello, and then this is all there is to do.
      const first = length === 0 ? asBuffer(chunk) : undefined;
      if (first === undefined) keep(chunk);
      const bytes = first ?? kept;
      const scanned = scanRecords(scan, bytes, first === undefined ? length : first.length, maxHelloBytes);
      if (first !== undefined) keep(chunk);
      if (scanned === "more") return more;
      if (scanned !== "whole") {
        final = { status: "reject", reason: scanned };
        return final;
      }
      const hello =
        scan.records === 1
          ? readClientHello(bytes, recordHeaderBytes, recordHeaderBytes + scan.total, 1)
          : readClientHello(joinFragments(scan, bytes), 0, scan.total, scan.records);
      final =
        typeof hello === "string" ? { status: "reject", reason: hello } : { status: "hello", hello, bytes: fedSoFar() };
      return final;
    },
    get bytes() {
      return fedSoFar();
    },
  };
}

function asBuffer(chunk: Uint8Array): Buffer {
  return Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
