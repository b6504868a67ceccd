import { loadFixtures } from "../../test/unit/tls-sni-fixtures.js";

/** The name in the hello, for which every contestant is set up. */
export const serverName = "curl.example.com";

/** What the backend does with a connection: it is told in the hello's random, which no proxy looks at. */
export const kinds = ["answer", "echo", "source", "sink", "hold"] as const;
export type Kind = (typeof kinds)[number];

/** What comes back: the answer of a web server that has little to say, a short message, a sign of life. */
export const answerBytes = 1024;
export const messageBytes = 200;

/** Record header (5), message header (4), legacy_version (2): RFC 8446 §4.1.2. */
const randomOffset = 11;
const mark = Buffer.from("load");

const recorded = loadFixtures().find(({ name }) => name === "curl")!.bytes;
export const helloBytes = recorded.length;

/** The hello that curl sent, with the kind in its random. */
export function helloOf(kind: Kind): Buffer {
  const hello = Buffer.from(recorded);
  mark.copy(hello, randomOffset);
  hello[randomOffset + mark.length] = kinds.indexOf(kind);
  return hello;
}

/** Undefined for a hello that is not one of these: a real client's. */
export function kindOf(hello: Uint8Array): Kind | undefined {
  const at = randomOffset + mark.length;
  if (mark.compare(hello, randomOffset, at) !== 0) return undefined;
  return kinds[hello[at]!];
}
