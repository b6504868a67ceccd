import { createCipheriv, createHash } from "node:crypto";

const zeros = Buffer.alloc(64 * 1024);

/** Random bytes that both ends know: the next ones of a stream that its key determines. */
export interface KnownBytes {
  /** The next `count`, at most 64 KiB. */
  next(count: number): Buffer;
}

export function knownBytes(key: string): KnownBytes {
  const digest = createHash("sha256").update(key).digest();
  const cipher = createCipheriv("aes-128-ctr", digest.subarray(0, 16), digest.subarray(16));
  return { next: (count) => cipher.update(zeros.subarray(0, count)) };
}

/** Compares what arrives with what was sent, byte by byte: so a connection that breaks off has been checked too. */
export interface ByteCheck {
  /** How many have arrived, and were right. */
  readonly got: number;
  /** What is wrong, or undefined. Bytes beyond the end are wrong. */
  take(chunk: Uint8Array): string | undefined;
  /** SHA-256 of all that arrived. Once. */
  digest(): Buffer;
}

export function checkBytes(key: string, total: number): ByteCheck {
  const expected = knownBytes(key);
  const hash = createHash("sha256");
  let got = 0;
  return {
    get got() {
      return got;
    },
    take(chunk) {
      if (got + chunk.length > total) return `${got + chunk.length} bytes came, ${total} were sent`;
      hash.update(chunk);
      for (let at = 0; at < chunk.length; at += zeros.length) {
        const piece = chunk.subarray(at, at + zeros.length);
        if (Buffer.compare(piece, expected.next(piece.length)) !== 0) return `wrong bytes at ${got} or up to 64 KiB on`;
        got += piece.length;
      }
      return undefined;
    },
    digest: () => hash.digest(),
  };
}
