import { readFileSync } from "node:fs";
import test from "ava";
import fc from "fast-check";
import { parseAllowance } from "../../src/settings/allowance.js";
import { variableOf } from "../../src/settings/environment.js";
import { editDistance, nearest } from "../../src/settings/near.js";
import { privateSchema } from "../../src/settings/private-schema.js";
import { publicSchema } from "../../src/settings/public-schema.js";
import { settingsReference } from "../../src/settings/reference.js";
import { settingsOf } from "../../src/settings/schema.js";
import { checkServerName, checkServerNamePattern } from "../../src/settings/server-name.js";

test("a server-name pattern is written in one way: lower case, no trailing dot", (t) => {
  for (const [text, pattern] of [
    ["a.Example.COM.", "a.example.com"],
    ["*.example.com", "*.example.com"],
    ["**.example.com.", "**.example.com"],
    ["*", "*"],
    ["_acme-1.x", "_acme-1.x"],
    ["localhost", "localhost"],
    [`${"a".repeat(63)}.b`, `${"a".repeat(63)}.b`],
  ] as const) {
    t.deepEqual(checkServerNamePattern(text), { pattern });
  }
});

test("a server-name pattern that no name could match is refused", (t) => {
  const long = Array(4).fill("a".repeat(63)).join(".");
  for (const text of [
    "",
    ".",
    "**",
    "*.",
    "***.a",
    "*a.b",
    "a.*",
    "*.*.a",
    "a..b",
    ".a",
    "a..",
    "1.2.3.4",
    "[::1]",
    "::1",
    "a b",
    "a/b",
    "é.de",
    `${"a".repeat(64)}.b`,
    long,
    `*.${long.slice(3)}`,
  ]) {
    t.true("problem" in checkServerNamePattern(text), text);
  }
  t.true("pattern" in checkServerNamePattern(long.slice(2)), "253 bytes are a name");
});

test("a name without wildcards takes none", (t) => {
  t.deepEqual(checkServerName("A.b."), { pattern: "a.b" });
  for (const text of ["*.b", "*", "", "10.0.0.1"]) t.true("problem" in checkServerName(text), text);
});

test("whatever the text, a pattern is a pattern again", (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.domain(), fc.stringMatching(/^[*a-c.-]{0,12}$/)), (text) => {
      const checked = checkServerNamePattern(text);
      if ("pattern" in checked) t.deepEqual(checkServerNamePattern(checked.pattern), checked);
    }),
  );
});

test("an endpoint that may be dialled is a host or a network, with or without a port", (t) => {
  for (const [text, allowance] of [
    ["Rendezvous.Example.com", { host: "rendezvous.example.com" }],
    ["a:4434", { host: "a", port: 4434 }],
    ["192.0.2.1", { host: "192.0.2.1" }],
    ["10.0.0.0/8", { host: "10.0.0.0", prefix: 8 }],
    ["10.0.0.0/8:1", { host: "10.0.0.0", prefix: 8, port: 1 }],
    ["2001:DB8::/32", { host: "2001:db8::", prefix: 32 }],
    ["2001:db8::1", { host: "2001:db8::1" }],
    ["[2001:db8::1]:5", { host: "2001:db8::1", port: 5 }],
    ["[2001:db8::/32]:5", { host: "2001:db8::", prefix: 32, port: 5 }],
    ["[::1]", { host: "::1" }],
    ["0.0.0.0/0", { host: "0.0.0.0", prefix: 0 }],
  ] as const) {
    t.deepEqual(parseAllowance(text), allowance);
  }
  for (const text of [
    "",
    ":1",
    "a:0",
    "a:65536",
    "a:b",
    "10.0.0.0/33",
    "::/129",
    "a/8",
    "10.0.0.0/",
    "10.0/8",
    "1.2.3",
    "[a]:1",
    "[::1",
    "a b",
    "10.0.0.0/8/8",
    "1:2:3",
  ]) {
    t.true("problem" in parseAllowance(text), text);
  }
});

test("the variable of a key is made from its path", (t) => {
  t.is(variableOf("shutdown.graceMs"), "PROXY_SHUTDOWN_GRACE_MS");
  t.is(variableOf("mesh.keepalive.intervalMs"), "PROXY_MESH_KEEPALIVE_INTERVAL_MS");
  t.is(variableOf("name"), "PROXY_NAME");
});

test("no two keys share a variable", (t) => {
  for (const schema of [publicSchema, privateSchema]) {
    const keys = [...settingsOf(schema)].map(([key]) => key);
    t.is(new Set(keys.map(variableOf)).size, keys.length);
  }
});

test("the nearest word is the one that was most likely meant", (t) => {
  const words = ["listen", "helloTimeoutMs", "maxHelloBytes", "key", "ca"];
  t.is(nearest("lisetn", words), "listen");
  t.is(nearest("hellotimeoutms", words), "helloTimeoutMs");
  t.is(nearest("keys", words), "key");
  t.is(nearest("cert", words), undefined);
  t.is(nearest("", words), undefined);
});

test("the edit distance is symmetric, and nothing only for equal words", (t) => {
  const word = fc.stringMatching(/^[abc]{0,7}$/);
  fc.assert(
    fc.property(word, word, (a, b) => {
      t.is(editDistance(a, b), editDistance(b, a));
      t.is(editDistance(a, b) === 0, a === b);
      t.true(editDistance(a, b) <= Math.max(a.length, b.length));
    }),
  );
  t.is(editDistance("graceMs", "garceMs"), 1, "neighbours that changed places are one slip");
});

test("every setting says what it is for, and the reference in docs is what the schema says", (t) => {
  for (const schema of [publicSchema, privateSchema]) {
    for (const [key, { doc, fields }] of settingsOf(schema)) {
      t.regex(doc, /\.$/, key);
      for (const [name, field] of Object.entries(fields ?? {})) t.regex(field.doc, /\.$/, `${key}[].${name}`);
    }
  }
  const reference = new URL("../../../docs/settings.md", import.meta.url);
  t.is(readFileSync(reference, "utf8"), settingsReference());
});
