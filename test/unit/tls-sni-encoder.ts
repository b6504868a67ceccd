/** Writes hellos, also such as no client would send: the tests' counterpart to the reader, which shares no code with it. */

export interface Extension {
  readonly type: number;
  readonly body: Buffer;
}

export interface HelloFields {
  readonly legacyVersion?: number;
  readonly random?: Uint8Array;
  readonly sessionId?: Uint8Array;
  readonly cipherSuites?: Uint8Array;
  readonly compressionMethods?: Uint8Array;
  /** Undefined: no extension block at all, as in TLS 1.0. */
  readonly extensions?: readonly Extension[] | undefined;
}

export function u8(value: number): Buffer {
  return Buffer.of(value);
}

export function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

/** `bytes` behind its length in 1, 2 or 3 bytes. */
export function vector(lengthBytes: 1 | 2 | 3, ...bytes: Uint8Array[]): Buffer {
  const body = Buffer.concat(bytes);
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(body.length, 0, lengthBytes);
  return Buffer.concat([length, body]);
}

export const serverName = (name: string | Buffer): Extension => ({
  type: 0,
  body: vector(2, u8(0), vector(2, Buffer.from(name))),
});

export const alpn = (protocols: readonly (string | Uint8Array)[]): Extension => ({
  type: 16,
  body: vector(2, ...protocols.map((protocol) => vector(1, Buffer.from(protocol)))),
});

export const supportedVersions = (versions: readonly number[]): Extension => ({
  type: 43,
  body: vector(1, ...versions.map(u16)),
});

export const earlyData: Extension = { type: 42, body: Buffer.alloc(0) };
export const echInner: Extension = { type: 0xfe0d, body: u8(1) };

export const echOuter = (key: Uint8Array, payload: Uint8Array): Extension => ({
  type: 0xfe0d,
  body: Buffer.concat([u8(0), u16(1), u16(1), u8(7), vector(2, key), vector(2, payload)]),
});

/** The handshake message, header included. */
export function encodeMessage(fields: HelloFields): Buffer {
  const {
    legacyVersion = 0x0303,
    random = Buffer.alloc(32, 7),
    sessionId = Buffer.alloc(0),
    cipherSuites = Buffer.of(0x13, 1),
    compressionMethods = u8(0),
    extensions,
  } = fields;
  const body = [
    u16(legacyVersion),
    random,
    vector(1, sessionId),
    vector(2, cipherSuites),
    vector(1, compressionMethods),
  ];
  if (extensions !== undefined) {
    body.push(vector(2, ...extensions.map(({ type, body }) => Buffer.concat([u16(type), vector(2, body)]))));
  }
  return Buffer.concat([u8(1), vector(3, ...body)]);
}

/** The message in records whose fragments have these sizes in turn; the last size is repeated. */
export function encodeRecords(message: Uint8Array, sizes: readonly number[] = [16_384], version = 0x0301): Buffer {
  const records = [];
  for (let at = 0, i = 0; at < message.length; i++) {
    const size = sizes[Math.min(i, sizes.length - 1)] ?? message.length;
    records.push(encodeRecord(message.subarray(at, at + size), version));
    at += size;
  }
  return Buffer.concat(records);
}

export function encodeRecord(fragment: Uint8Array, version = 0x0301, type = 22): Buffer {
  return Buffer.concat([u8(type), u16(version), vector(2, fragment)]);
}

export function encodeHello(fields: HelloFields): Buffer {
  return encodeRecords(encodeMessage(fields));
}
