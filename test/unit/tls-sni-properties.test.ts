import { Readable } from "node:stream";
import test from "ava";
import fc from "fast-check";
import { getExtensionData, readTlsClientHello } from "read-tls-client-hello";
import type { ClientHello } from "../../src/tls-sni/index.js";
import {
  alpn,
  type Extension,
  earlyData,
  echInner,
  echOuter,
  encodeMessage,
  encodeRecords,
  type HelloFields,
  serverName,
  supportedVersions,
} from "./tls-sni-encoder.js";
import { feed, feedWhole } from "./tls-sni-feed.js";
import { goodFixtures } from "./tls-sni-fixtures.js";

type Told = Omit<ClientHello, "records" | "length">;

const bytesOf = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });
const label = fc.stringMatching(/^[A-Za-z_-][A-Za-z0-9_-]{0,62}$/);
const name = fc
  .array(label, { minLength: 1, maxLength: 6 })
  .map((labels) => labels.join("."))
  .filter((text) => text.length <= 253);
const version = fc.integer({ min: 0, max: 0xffff });

/** An extension, and what the reader should tell because of it. */
const knownExtensions = fc.record(
  {
    name: fc.tuple(name, fc.boolean()).map(([text, dot]) => ({
      extension: serverName(dot ? `${text}.` : text),
      told: { serverName: text.toLowerCase() },
    })),
    alpn: fc.array(bytesOf(1, 255), { minLength: 1, maxLength: 20 }).map((protocols) => ({
      extension: alpn(protocols),
      told: { alpn: protocols.map((protocol) => Buffer.from(protocol).toString("latin1")) },
    })),
    versions: fc.array(version, { minLength: 1, maxLength: 127 }).map((versions) => ({
      extension: supportedVersions(versions),
      told: { supportedVersions: versions },
    })),
    ech: fc.oneof(
      fc.constant({ extension: echInner, told: { ech: "inner" as const } }),
      fc.tuple(bytesOf(0, 100), bytesOf(1, 500)).map(([key, payload]) => ({
        extension: echOuter(key, payload),
        told: { ech: "outer" as const },
      })),
    ),
    early: fc.constant({ extension: earlyData, told: { earlyData: true } }),
  },
  { requiredKeys: [] },
);

const routed = new Set([0, 16, 41, 42, 43, 0xfe0d]);
const unknownExtensions = fc.uniqueArray(
  fc.record({
    type: version.filter((type) => !routed.has(type)),
    body: fc
      .oneof({ weight: 9, arbitrary: bytesOf(0, 300) }, { weight: 1, arbitrary: bytesOf(0, 20_000) })
      .map(Buffer.from),
  }),
  { selector: ({ type }) => type, maxLength: 12 },
);

/** Any hello that is right, with its extensions in any order, and all that should be told of it. */
const anyHello = fc
  .record({
    legacyVersion: fc.integer({ min: 0x0300, max: 0x03ff }),
    random: bytesOf(32, 32),
    sessionId: bytesOf(0, 32),
    cipherSuites: fc.integer({ min: 1, max: 200 }).map((suites) => Buffer.alloc(suites * 2, 0x5a)),
    compressionMethods: bytesOf(1, 255),
    known: knownExtensions,
    unknown: unknownExtensions,
    preSharedKey: fc.option(
      bytesOf(0, 300).map((body) => ({ type: 41, body: Buffer.from(body) })),
      { nil: undefined },
    ),
    withBlock: fc.boolean(),
  })
  .chain(({ known, unknown, preSharedKey, withBlock, ...fixed }) => {
    const parts = Object.values(known);
    const some: Extension[] = [...parts.map(({ extension }) => extension), ...unknown];
    return fc.shuffledSubarray(some, { minLength: some.length, maxLength: some.length }).map((shuffled) => {
      const all = preSharedKey === undefined ? shuffled : [...shuffled, preSharedKey];
      const extensions = all.length === 0 && !withBlock ? undefined : all;
      const nothing = {
        alpn: [],
        legacyVersion: fixed.legacyVersion,
        supportedVersions: [],
        ech: "none",
        earlyData: false,
      };
      const told: Told = Object.assign({}, nothing, ...parts.map((part) => part.told));
      const fields: HelloFields = { ...fixed, extensions };
      return { fields, told };
    });
  })
  // The block of all extensions has a length of two bytes.
  .filter(({ fields }) => (fields.extensions ?? []).reduce((sum, { body }) => sum + 4 + body.length, 0) <= 0xffff);

const recordSizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 16_384 })), {
  minLength: 1,
  maxLength: 6,
});

test("any hello in any records and chunks is told as it was written", (t) => {
  fc.assert(
    fc.property(anyHello, recordSizes, recordSizes, ({ fields, told }, records, chunks) => {
      const message = encodeMessage(fields);
      const bytes = encodeRecords(message, records);
      const result = feed(bytes, chunks, { maxHelloBytes: 0x2_0000 });
      t.is(result.status, "hello");
      if (result.status !== "hello") return;
      const { records: count, length, ...read } = result.hello;
      t.deepEqual(read, told);
      t.is(length, message.length);
      t.is(count, countRecords(bytes));
      t.true(bytes.subarray(0, result.bytes.length).equals(result.bytes));
    }),
    { numRuns: 300 },
  );
});

test("read-tls-client-hello agrees on generated hellos", async (t) => {
  await fc.assert(
    fc.asyncProperty(anyHello, async ({ fields }) => {
      const message = encodeMessage(fields);
      fc.pre(message.length <= 16_384 && fields.extensions !== undefined);
      await agrees(t, encodeRecords(message));
    }),
    { numRuns: 100 },
  );
});

for (const { name, bytes } of goodFixtures()) {
  test(`read-tls-client-hello agrees on ${name}`, (t) => agrees(t, bytes));
}

async function agrees(t: { is: typeof Object.is; deepEqual(a: unknown, b: unknown): boolean }, bytes: Buffer) {
  const result = feedWhole(bytes);
  const oracle = await readTlsClientHello(Readable.from([bytes], { objectMode: false }));
  if (result.status !== "hello") throw new Error(`rejected: ${JSON.stringify(result)}`);
  const { hello } = result;
  t.is(hello.legacyVersion, oracle.version);
  const named = getExtensionData(oracle, "server_name")?.serverName;
  t.is(hello.serverName, named?.toLowerCase().replace(/\.$/, ""));
  // The oracle reads protocols as ASCII, which drops the high bit.
  const sevenBits = hello.alpn.map((protocol) => Buffer.from(protocol, "latin1").toString("ascii"));
  t.deepEqual(sevenBits, getExtensionData(oracle, 16)?.protocols ?? []);
  t.deepEqual(hello.supportedVersions, getExtensionData(oracle, "supported_versions")?.versions ?? []);
  const ech = getExtensionData(oracle, 0xfe0d);
  t.is(hello.ech, ech == null ? "none" : ech.type === 1 ? "inner" : "outer");
  t.is(
    hello.earlyData,
    oracle.extensions.some(({ id }) => id === 42),
  );
}

function countRecords(bytes: Buffer): number {
  let count = 0;
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) count++;
  return count;
}
