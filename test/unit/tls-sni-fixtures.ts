import { readdirSync, readFileSync } from "node:fs";
import type { ClientHello, HelloRejection } from "../../src/tls-sni/index.js";

/** A hello as a real client sent it, or a case that was found. The file says whose, and what must come out. */
export interface HelloFixture {
  readonly name: string;
  readonly expected:
    | { readonly status: "hello"; readonly hello: ClientHello }
    | { readonly status: "reject"; readonly reason: HelloRejection };
  readonly bytes: Buffer;
}

const directory = new URL("../../../test/fixtures/hello/", import.meta.url);

/** Reads `test/fixtures/hello/*.txt`: hex, `#` starts a comment, the comment `expect:` holds JSON. */
export function loadFixtures(): HelloFixture[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith(".txt"))
    .map((file) => {
      const text = readFileSync(new URL(file, directory), "utf8");
      const expect = /^# expect: (.*)$/m.exec(text)?.[1];
      if (expect === undefined) throw new Error(`${file} does not say what to expect`);
      const hex = text.replace(/#.*$/gm, "").replace(/\s+/g, "");
      if (!/^(?:[0-9a-f]{2})+$/.test(hex)) throw new Error(`${file} holds something that is not hex`);
      return { name: file.slice(0, -4), expected: JSON.parse(expect), bytes: Buffer.from(hex, "hex") };
    });
}

/** Only those that hold a good hello, in one record. */
export function goodFixtures(): (HelloFixture & { expected: { status: "hello" } })[] {
  return loadFixtures().filter(
    (fixture): fixture is HelloFixture & { expected: { status: "hello"; hello: ClientHello } } =>
      fixture.expected.status === "hello" && fixture.expected.hello.records === 1,
  );
}
