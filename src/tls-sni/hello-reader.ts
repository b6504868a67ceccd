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
const nothing = new Uint8Array(0);

/**
 * A reader for one connection. `maxHelloBytes` (default 65,536) bounds the handshake message, its 4-byte header included.
 * Every record must bring at least one byte, so no more than 6 times that is ever kept, plus the last chunk.
 */
export function createHelloReader(options: { maxHelloBytes?: number } = {}): HelloReader {
  return new Reader(options.maxHelloBytes ?? defaultMaxHelloBytes);
}

/** A class, since one is made for every connection: five closures would cost more than reading the hello. */
class Reader implements HelloReader {
  readonly #scan = startScan();
  readonly #maxHelloBytes: number;
  #kept: Uint8Array = nothing;
  #length = 0;
  #final: HelloResult | undefined;

  constructor(maxHelloBytes: number) {
    this.#maxHelloBytes = maxHelloBytes;
  }

  get bytes(): Uint8Array {
    return this.#length === this.#kept.length ? this.#kept : this.#kept.subarray(0, this.#length);
  }

  push(chunk: Uint8Array): HelloResult {
    if (this.#final !== undefined) return this.#final;
    // A first chunk is read where it lies: mostly it is the whole hello, and then there is nothing to join.
    const isFirst = this.#length === 0;
    if (!isFirst) this.#append(chunk);
    const bytes = isFirst ? chunk : this.#kept;
    const end = isFirst ? chunk.length : this.#length;
    const scanned = scanRecords(this.#scan, bytes, end, this.#maxHelloBytes);
    if (scanned === "more") {
      if (isFirst) this.#append(chunk);
      return more;
    }
    if (isFirst) {
      this.#kept = copyOf(chunk);
      this.#length = chunk.length;
    }
    this.#final = this.#decide(scanned, bytes);
    return this.#final;
  }

  #decide(scanned: "whole" | HelloRejection, bytes: Uint8Array): HelloResult {
    if (scanned !== "whole") return { status: "reject", reason: scanned };
    const { records, total } = this.#scan;
    const hello =
      records === 1
        ? readClientHello(asBuffer(bytes), recordHeaderBytes, recordHeaderBytes + total, 1)
        : readClientHello(joinFragments(this.#scan, bytes), 0, total, records);
    return typeof hello === "string"
      ? { status: "reject", reason: hello }
      : { status: "hello", hello, bytes: this.bytes };
  }

  #append(chunk: Uint8Array): void {
    const needed = this.#length + chunk.length;
    if (needed > this.#kept.length) {
      const larger = new Uint8Array(Math.max(needed, this.#kept.length * 2, firstBufferBytes));
      larger.set(this.bytes);
      this.#kept = larger;
    }
    if (chunk.length === 1) this.#kept[this.#length] = chunk[0]!;
    else this.#kept.set(chunk, this.#length);
    this.#length = needed;
  }
}

const slabBytes = 32_768;
let slab = new Uint8Array(0);
let slabUsed = 0;

/**
 * A copy for a hello that came whole. Memory of its own for each would cost more than reading it, so small ones share a
 * slab, each with a stretch that is never given out again.
 */
function copyOf(chunk: Uint8Array): Uint8Array {
  if (chunk.length > slabBytes / 8) return new Uint8Array(chunk);
  if (slabUsed + chunk.length > slab.length) {
    slab = new Uint8Array(slabBytes);
    slabUsed = 0;
  }
  const copy = slab.subarray(slabUsed, slabUsed + chunk.length);
  copy.set(chunk);
  slabUsed += chunk.length;
  return copy;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
