import { isDeepStrictEqual } from "node:util";
import test from "ava";
import { createHelloReader, type HelloResult } from "../../src/tls-sni/index.js";
import { alpn, echInner, echOuter, encodeHello, encodeMessage, encodeRecords, serverName } from "./tls-sni-encoder.js";
import { feed, feedWhole } from "./tls-sni-feed.js";
import { goodFixtures, loadFixtures } from "./tls-sni-fixtures.js";

const fixtures = loadFixtures();

for (const { name, bytes, expected } of fixtures) {
  test(`${name}: the result is the expected one, and the bytes are the client's`, (t) => {
    const result = feedWhole(bytes);
    t.like(result, expected);
    if (result.status === "hello") t.deepEqual(Buffer.from(result.bytes), bytes);
  });

  test(`${name}: cut in two at any byte it is read the same`, (t) => {
    const whole = feedWhole(bytes);
    const different = [];
    for (let cut = 1; cut < bytes.length; cut++) {
      if (!sameResult(feed(bytes, [cut, bytes.length]), whole)) different.push(cut);
    }
    t.deepEqual(different, []);
  });

  test(`${name}: in chunks of one byte it is read the same`, (t) => {
    t.true(sameResult(feed(bytes, [1]), feedWhole(bytes)));
  });

  test(`${name}: no part of it is mistaken for the whole`, (t) => {
    const end = expected.status === "hello" ? 5 * expected.hello.records + expected.hello.length : 0;
    for (let length = 0; length < end; length++) {
      if (feedWhole(bytes.subarray(0, length)).status !== "more") t.fail(`after ${length} bytes`);
    }
    t.pass();
  });
}

for (const { name, bytes, expected } of goodFixtures()) {
  for (const size of [1, 2, 7, 1000]) {
    test(`${name}: split into records of ${size} bytes it says the same`, (t) => {
      const { length } = expected.hello;
      const behind = bytes.subarray(5 + length);
      const split = Buffer.concat([encodeRecords(bytes.subarray(5, 5 + length), [size]), behind]);
      const records = Math.ceil(length / size);
      for (const chunk of [split.length, 1, 3, 1460]) {
        const result = feed(split, [chunk]);
        t.like(result, { status: "hello", hello: { ...expected.hello, records } });
        if (result.status === "hello") t.true(split.subarray(0, result.bytes.length).equals(result.bytes));
      }
    });
  }
}

test("the fixtures come from all the clients that matter", (t) => {
  const names = fixtures.map(({ name }) => name).join(" ");
  for (const client of ["node20", "node24-mlkem", "curl", "openssl-no-sni", "chromium", "gnutls", "nss", "go"]) {
    t.regex(names, new RegExp(client));
  }
});

test("what follows the hello in the same chunk is kept with it", (t) => {
  const hello = encodeHello({ extensions: [serverName("a.example.com")] });
  const early = Buffer.concat([hello, Buffer.from("\x17\x03\x03\x00\x03abc"), hello]);
  const result = feed(early, [hello.length - 1, early.length]);
  t.is(result.status, "hello");
  if (result.status === "hello") t.deepEqual(Buffer.from(result.bytes), early);
  t.true(sameResult(feedWhole(early), result));
});

test("the bytes stay the client's when the engine uses its buffer again", (t) => {
  const hello = encodeHello({ extensions: [serverName("a.example.com")] });
  for (const Kind of [Uint8Array, Buffer]) {
    const chunk = Kind.from(hello);
    const result = createHelloReader().push(chunk);
    chunk.fill(0);
    t.true(result.status === "hello" && hello.equals(result.bytes));
  }
});

test("bytes tells what was fed so far, also before the hello is whole", (t) => {
  const hello = encodeHello({ extensions: [serverName("a.example.com")] });
  const reader = createHelloReader();
  t.is(reader.bytes.length, 0);
  reader.push(new Uint8Array(0));
  reader.push(hello.subarray(0, 3));
  reader.push(hello.subarray(3, 9));
  t.deepEqual(Buffer.from(reader.bytes), hello.subarray(0, 9));
});

test("a reader that has decided repeats its result and keeps nothing more", (t) => {
  for (const bytes of [encodeHello({ extensions: [serverName("a.example.com")] }), Buffer.from("GET / HTTP/1.1\r\n")]) {
    const reader = createHelloReader();
    const result = reader.push(bytes);
    t.is(reader.push(bytes), result);
    t.is(reader.bytes.length, bytes.length);
  }
});

test("names are lowered, one trailing dot is dropped, underscores are allowed", (t) => {
  for (const [sent, read] of [
    ["WWW.Example.COM", "www.example.com"],
    ["www.example.com.", "www.example.com"],
    ["_sip-1.example.com", "_sip-1.example.com"],
    ["localhost", "localhost"],
    ["1.2.3.4a", "1.2.3.4a"],
    ["xn--bcher-kva.example", "xn--bcher-kva.example"],
  ] as const) {
    const result = feedWhole(encodeHello({ extensions: [serverName(sent)] }));
    t.is(result.status === "hello" ? result.hello.serverName : result.status, read);
  }
});

test("a hello without extensions, or with an empty list of them, has no server name", (t) => {
  for (const extensions of [undefined, []]) {
    const result = feedWhole(encodeHello({ legacyVersion: 0x0301, extensions }));
    t.like(result, { status: "hello", hello: { legacyVersion: 0x0301, alpn: [], supportedVersions: [] } });
    t.false("serverName" in (result as { hello: object }).hello);
  }
});

test("protocols that are not text are read as one character per byte", (t) => {
  const result = feedWhole(
    encodeHello({ extensions: [alpn([Buffer.of(0x0a, 0x0a), Buffer.of(0xff, 0xc3), "h2", "h3"])] }),
  );
  t.like(result, { hello: { alpn: ["\n\n", "\u00ff\u00c3", "h2", "h3"] } });
});

test("an outer encrypted hello is routed by its outer name, an inner one is told apart", (t) => {
  const outer = encodeHello({
    extensions: [echOuter(Buffer.alloc(32), Buffer.alloc(100)), serverName("public.example")],
  });
  t.like(feedWhole(outer), { hello: { ech: "outer", serverName: "public.example" } });
  const inner = encodeHello({ extensions: [serverName("inner.example"), echInner] });
  t.like(feedWhole(inner), { hello: { ech: "inner", serverName: "inner.example" } });
});

test("a hello of the largest size allowed is read, in any chunks and records", (t) => {
  const padding = { type: 21, body: Buffer.alloc(60_000) };
  const message = encodeMessage({ extensions: [padding, serverName("a.example.com")] });
  for (const size of [16_384, 1]) {
    const split = encodeRecords(message, [size]);
    for (const chunk of [split.length, 1, 1460]) {
      t.like(feed(split, [chunk], { maxHelloBytes: message.length }), { hello: { serverName: "a.example.com" } });
    }
  }
  t.deepEqual(feedWhole(encodeRecords(message), { maxHelloBytes: message.length - 1 }), {
    status: "reject",
    reason: "hello_too_large",
  });
});

function sameResult(a: HelloResult, b: HelloResult): boolean {
  if (a.status !== "hello" || b.status !== "hello") return isDeepStrictEqual(a, b);
  const fewer = Math.min(a.bytes.length, b.bytes.length);
  return (
    isDeepStrictEqual(a.hello, b.hello) && Buffer.compare(a.bytes.subarray(0, fewer), b.bytes.subarray(0, fewer)) === 0
  );
}
