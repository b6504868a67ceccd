/**
 * What reading a hello costs: `make bench-hello`. Prints the median time per hello and per byte, whole and in chunks of one
 * byte, beside the package read-tls-client-hello where that can read them at all.
 */
import { Readable } from "node:stream";
import { readTlsClientHello } from "read-tls-client-hello";
import { createHelloReader } from "../src/tls-sni/index.js";
import { alpn, encodeMessage, encodeRecords, serverName, supportedVersions } from "../test/unit/tls-sni-encoder.js";

const rounds = 15;
const maxHelloBytes = 1 << 18;

interface Case {
  readonly name: string;
  readonly bytes: Buffer;
  readonly hellosPerRound: { readonly whole: number; readonly oneByte: number; readonly other: number };
}

/** A hello like a browser's, of exactly this many bytes with its record headers. */
function helloOf(size: number): Buffer {
  const extensions = [10, 11, 13, 23, 27, 35, 45, 51].map((type) => ({ type, body: Buffer.alloc(4) }));
  const named = [serverName("service.example.com"), alpn(["h2", "http/1.1"]), supportedVersions([0x0304, 0x0303])];
  const build = (padding: number) =>
    encodeRecords(encodeMessage({ extensions: [...extensions, ...named, ...fillers(padding)] }));
  let bytes = build(0);
  while (bytes.length < size) bytes = build(size - bytes.length + countFillerBytes(bytes));
  return bytes;

  function countFillerBytes(built: Buffer): number {
    return built.length - build(0).length;
  }
}

/** Extensions of at most 16,000 bytes that add up to `bytes`, less their headers. */
function fillers(bytes: number): { type: number; body: Buffer }[] {
  const made = [];
  for (let left = bytes, type = 1000; left > 0; type++) {
    const size = Math.min(16_000, left);
    made.push({ type, body: Buffer.alloc(Math.max(0, size - 4)) });
    left -= size;
  }
  return made;
}

function readWhole(bytes: Buffer): undefined {
  const reader = createHelloReader({ maxHelloBytes });
  if (reader.push(bytes).status !== "hello") throw new Error("not read");
}

/** Through one chunk that is used again, as engines do: a view for every byte would measure the cache. */
const oneByte = Buffer.alloc(1);

function readByteByByte(bytes: Buffer): undefined {
  const reader = createHelloReader({ maxHelloBytes });
  let status = "more";
  for (let at = 0; at < bytes.length; at++) {
    oneByte[0] = bytes[at]!;
    status = reader.push(oneByte).status;
  }
  if (status !== "hello" || reader.bytes.length !== bytes.length) throw new Error("not read");
}

/** Nanoseconds per call: the median of the rounds, after one to warm up. */
async function medianNs(calls: number, call: () => Promise<unknown> | undefined): Promise<number> {
  const times = [];
  for (let round = 0; round <= rounds; round++) {
    const startedAt = process.hrtime.bigint();
    for (let i = 0; i < calls; i++) {
      const pending = call();
      if (pending !== undefined) await pending;
    }
    if (round > 0) times.push(Number(process.hrtime.bigint() - startedAt) / calls);
  }
  return times.sort((a, b) => a - b)[rounds >> 1]!;
}

async function otherNs(bytes: Buffer, calls: number): Promise<number | undefined> {
  const read = () => readTlsClientHello(Readable.from([bytes], { objectMode: false }));
  try {
    await read();
  } catch {
    return undefined;
  }
  return medianNs(calls, read);
}

const cases: Case[] = [
  { name: "400 B", bytes: helloOf(400), hellosPerRound: { whole: 20_000, oneByte: 500, other: 100 } },
  { name: "1.8 KB", bytes: helloOf(1800), hellosPerRound: { whole: 20_000, oneByte: 200, other: 100 } },
  { name: "16 KB", bytes: helloOf(16_384), hellosPerRound: { whole: 2_000, oneByte: 20, other: 50 } },
  { name: "32 KB", bytes: helloOf(32_768), hellosPerRound: { whole: 1_000, oneByte: 20, other: 0 } },
  { name: "64 KB", bytes: helloOf(65_536), hellosPerRound: { whole: 500, oneByte: 10, other: 0 } },
];

const row = (...cells: string[]) => process.stdout.write(`${cells.map((cell) => cell.padStart(15)).join("")}\n`);
process.stdout.write(`Node ${process.version}, median of ${rounds} rounds\n\n`);
row("hello", "bytes", "whole, us", "ns/byte", "1-byte, us", "ns/byte", "other pkg, us");
const oneByteUs = new Map<string, number>();
for (const { name, bytes, hellosPerRound } of cases) {
  const whole = await medianNs(hellosPerRound.whole, () => readWhole(bytes));
  const slow = await medianNs(hellosPerRound.oneByte, () => readByteByByte(bytes));
  const other = hellosPerRound.other === 0 ? undefined : await otherNs(bytes, hellosPerRound.other);
  oneByteUs.set(name, slow / 1000);
  row(
    name,
    String(bytes.length),
    (whole / 1000).toFixed(2),
    (whole / bytes.length).toFixed(2),
    (slow / 1000).toFixed(1),
    (slow / bytes.length).toFixed(1),
    other === undefined ? "-" : (other / 1000).toFixed(1),
  );
}
const ratio = (oneByteUs.get("64 KB") ?? 0) / (oneByteUs.get("32 KB") ?? 1);
process.stdout.write(`\ntwice the length in chunks of one byte costs ${ratio.toFixed(2)} times as much\n`);
