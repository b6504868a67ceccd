/**
 * The seeded mutation fuzzer of the ClientHello reader:
 *
 *   node dist/test/fuzz/hello.js --seconds 60 --seed 1
 *
 * Whatever comes in, the reader must not throw, take its time, keep too much, or read what it was not fed; it must end in
 * one of its three results, and in the same one however the bytes are cut. A failure is printed as hex, to become a
 * fixture in test/fixtures/hello.
 */
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { canonicalName, createHelloReader, type HelloResult } from "../../src/tls-sni/index.js";
import {
  alpn,
  echOuter,
  encodeHello,
  encodeMessage,
  encodeRecords,
  serverName,
  supportedVersions,
} from "../unit/tls-sni-encoder.js";
import { loadFixtures } from "../unit/tls-sni-fixtures.js";
import { mutate } from "./mutations.js";
import { type Random, seededRandom } from "./random.js";

const maxHelloBytes = 20_000;

/** Far beyond what any input takes, far below a hang; a pause of the machine is no failure. */
const maxMsPerInput = 2000;

export interface FuzzReport {
  readonly inputs: number;
  /** How often each result came: "hello", "more", or the reason of a rejection. */
  readonly results: Readonly<Record<string, number>>;
  readonly failures: readonly { readonly problem: string; readonly hex: string }[];
}

/** Runs until `inputs` were tried or `seconds` have passed, or ten failures were found. */
export function fuzzHellos(options: { seed: number; inputs?: number; seconds?: number }): FuzzReport {
  const { seed, inputs = Number.POSITIVE_INFINITY, seconds = Number.POSITIVE_INFINITY } = options;
  const random = seededRandom(seed);
  const corpus = startingCorpus();
  const results: Record<string, number> = {};
  const failures: { problem: string; hex: string }[] = [];
  const endAt = performance.now() + seconds * 1000;
  let tried = 0;
  for (; tried < inputs && failures.length < 10; tried++) {
    if (tried % 64 === 0 && performance.now() > endAt) break;
    const bytes = mutate(corpus, random);
    const { result, problem } = tryInput(bytes, random);
    results[result] = (results[result] ?? 0) + 1;
    if (problem !== undefined) failures.push({ problem, hex: bytes.toString("hex") });
  }
  return { inputs: tried, results, failures };
}

function startingCorpus(): Buffer[] {
  const extensions = [serverName("a.example.com"), alpn(["h2", "x"]), supportedVersions([0x0304])];
  const small = encodeHello({ extensions: [...extensions, echOuter(Buffer.alloc(4), Buffer.alloc(4))] });
  const large = { extensions: [{ type: 21, body: Buffer.alloc(maxHelloBytes - 200) }, ...extensions] };
  return [
    ...loadFixtures().map(({ bytes }) => bytes),
    small,
    encodeHello({ extensions: undefined }),
    encodeRecords(encodeMessage({ extensions }), [1]),
    encodeRecords(encodeMessage(large), [3000]),
    Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    Buffer.from("PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n"),
    Buffer.from("0d0a0d0a000d0a515549540a21110000", "hex"),
    Buffer.from("030000130ee000000000000100080003000000", "hex"),
    Buffer.from("802e0103010015000000100000040000050000", "hex"),
  ];
}

function tryInput(bytes: Buffer, random: Random): { result: string; problem?: string } {
  const startedAt = performance.now();
  try {
    const whole = run(bytes, () => bytes.length);
    const small = run(bytes, () => 1 + random.below(3));
    const mixed = run(bytes, () => 1 + random.below(1500));
    const { result } = whole;
    const named = result.status === "reject" ? result.reason : result.status;
    const problem =
      whole.problem ??
      small.problem ??
      mixed.problem ??
      (told(small.result) !== told(result) || told(mixed.result) !== told(result)
        ? `cut otherwise it is ${told(small.result)} or ${told(mixed.result)}, not ${told(result)}`
        : performance.now() - startedAt > maxMsPerInput
          ? "it took too long"
          : undefined);
    return problem === undefined ? { result: named } : { result: named, problem };
  } catch (error) {
    return { result: "thrown", problem: `thrown: ${String(error)}` };
  }
}

/**
 * Feeds a new reader from a buffer that is overwritten after each call and has other bytes around the chunk: a reader that
 * looked beyond its chunk, or kept it, would come to other results with other cuts.
 */
function run(bytes: Buffer, nextSize: () => number): { result: HelloResult; problem?: string } {
  const reader = createHelloReader({ maxHelloBytes });
  const surrounded = Buffer.alloc(bytes.length + 32);
  let result: HelloResult = { status: "more" };
  let fed = 0;
  let lastChunk = 0;
  while (fed < bytes.length && result.status === "more") {
    lastChunk = Math.min(nextSize(), bytes.length - fed);
    surrounded.fill(fed % 2 === 0 ? 0x00 : 0xff);
    bytes.copy(surrounded, 16, fed, fed + lastChunk);
    result = reader.push(surrounded.subarray(16, 16 + lastChunk));
    fed += lastChunk;
  }
  surrounded.fill(0xee);
  if (reader.bytes.length > 6 * maxHelloBytes + lastChunk) return { result, problem: "it kept too much" };
  if (Buffer.compare(reader.bytes, bytes.subarray(0, fed)) !== 0)
    return { result, problem: "its bytes are not the input" };
  if (result.status === "hello") {
    const { serverName: name } = result.hello;
    if (name !== undefined && canonicalName(name) !== name) return { result, problem: "the name is not canonical" };
    if (!bytes.equals(Buffer.concat([result.bytes, bytes.subarray(fed)])))
      return { result, problem: "bytes were lost" };
  }
  return { result };
}

function told(result: HelloResult): string {
  return result.status === "hello" ? JSON.stringify(result.hello) : JSON.stringify(result);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "60" },
      seed: { type: "string", default: String(Date.now() >>> 0) },
    },
  });
  const seconds = Number(values.seconds);
  const seed = Number(values.seed);
  if (!(seconds > 0) || !Number.isInteger(seed)) {
    process.stderr.write("usage: hello.js [--seconds NUMBER] [--seed INTEGER]\n");
    process.exit(2);
  }
  process.stdout.write(`seed ${seed}, ${seconds} s\n`);
  const { inputs, results, failures } = fuzzHellos({ seconds, seed });
  process.stdout.write(`${inputs} inputs\n`);
  for (const [result, count] of Object.entries(results).toSorted((a, b) => b[1] - a[1])) {
    process.stdout.write(`${String(count).padStart(10)} ${result}\n`);
  }
  for (const { problem, hex } of failures) process.stdout.write(`FAILED: ${problem}\n${hex}\n`);
  process.exit(failures.length === 0 ? 0 : 1);
}
