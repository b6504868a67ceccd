import test from "ava";
import fc from "fast-check";
import type { Identity } from "../../src/certificates/identity.js";
import { identityMatches } from "../../src/certificates/identity-match.js";

const dns = (value: string): Identity => ({ type: "dns", value, text: `dns:${value}` });
const uri = (value: string): Identity => ({ type: "uri", value, text: `uri:${value}` });

test("a bare name and dns: mean the same, in any case", (t) => {
  t.true(identityMatches("clinic-7", dns("clinic-7")));
  t.true(identityMatches("dns:Clinic-7.Example", dns("clinic-7.example")));
  t.true(identityMatches("CLINIC-7", dns("clinic-7")));
  t.false(identityMatches("clinic-7", dns("clinic-77")));
  t.false(identityMatches("clinic-7", dns("clinic-7.example")));
  t.false(identityMatches("", dns("clinic-7")));
});

test("a URI is never taken for a name, nor a name for a URI", (t) => {
  t.false(identityMatches("spiffe://a/b", uri("spiffe://a/b")));
  t.false(identityMatches("uri:clinic-7", dns("clinic-7")));
  t.false(identityMatches("**", uri("spiffe://a/b")));
  t.false(identityMatches("uri:**", dns("a")));
});

test("URIs are compared exactly", (t) => {
  t.true(identityMatches("uri:spiffe://Td/A", uri("spiffe://Td/A")));
  t.false(identityMatches("uri:spiffe://td/A", uri("spiffe://Td/A")));
  t.false(identityMatches("uri:spiffe://Td/a", uri("spiffe://Td/A")));
  t.false(identityMatches("uri:spiffe://Td/A", uri("spiffe://Td/A/")));
});

test("* is one label or one path segment, ** one or more", (t) => {
  const cases: [string, Identity, boolean][] = [
    ["*.example.com", dns("a.example.com"), true],
    ["*.example.com", dns("a.b.example.com"), false],
    ["*.example.com", dns("example.com"), false],
    ["*.example.com", dns("evilexample.com"), false],
    ["**.example.com", dns("a.b.example.com"), true],
    ["**.example.com", dns("example.com"), false],
    ["**.example.com", dns("evilexample.com"), false],
    ["a.*.com", dns("a.b.com"), true],
    ["*", dns("clinic-7"), true],
    ["*", dns("a.b"), false],
    ["**", dns("a.b"), true],
    ["clinic-*", dns("clinic-7"), false],
    ["uri:spiffe://td/clinic/*", uri("spiffe://td/clinic/7"), true],
    ["uri:spiffe://td/clinic/*", uri("spiffe://td/clinic/7/8"), false],
    ["uri:spiffe://td/clinic/*", uri("spiffe://td/clinic/"), false],
    ["uri:spiffe://td/clinic/*", uri("spiffe://td/clinic"), false],
    ["uri:spiffe://td/clinic/*", uri("spiffe://td/clinics/7"), false],
    ["uri:spiffe://td/**", uri("spiffe://td/clinic/7"), true],
    ["uri:spiffe://td/**", uri("spiffe://td"), false],
    ["uri:spiffe://td/ns/*/sa/**", uri("spiffe://td/ns/a/sa/b/c"), true],
    ["uri:spiffe://td/**/sa/x", uri("spiffe://td/sa/sa/x/sa/x"), true],
    ["uri:urn:clinic:*", uri("urn:clinic:7"), false],
  ];
  for (const [grant, identity, expected] of cases) {
    t.is(identityMatches(grant, identity), expected, `${grant} ${identity.text}`);
  }
});

test("a wildcard never reaches a URI's scheme or authority", (t) => {
  for (const grant of [
    "uri:**",
    "uri:*",
    "uri:*://td/a",
    "uri:spiffe://*/a",
    "uri:spiffe://**",
    "uri:spiffe:**",
    "uri:spiffe:/**",
  ]) {
    t.false(identityMatches(grant, uri("spiffe://td/a")), grant);
  }
});

test("a wildcard does not stand for dot segments, queries or fragments", (t) => {
  for (const path of ["x/../admin", "x/./b", "..", "x?b=c/d", "x#b", "x//b"]) {
    t.false(identityMatches("uri:spiffe://td/**", uri(`spiffe://td/${path}`)), path);
    t.true(identityMatches(`uri:spiffe://td/${path}`, uri(`spiffe://td/${path}`)), path);
  }
});

test("patterns match as their definition says, with any number of wildcards", (t) => {
  const part = fc.constantFrom("a", "b");
  const parts = fc.array(part, { minLength: 1, maxLength: 8 });
  const pattern = fc.array(fc.oneof(part, fc.constant("*"), fc.constant("**")), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(pattern, parts, (wanted, given) => {
      const defined = new RegExp(
        `^${wanted.map((each) => (each === "**" ? "\\w(?:\\.\\w)*" : each === "*" ? "\\w" : each)).join("\\.")}$`,
      ).test(given.join("."));
      t.is(identityMatches(wanted.join("."), dns(given.join("."))), defined);
      t.is(identityMatches(`uri:x://t/${wanted.join("/")}`, uri(`x://t/${given.join("/")}`)), defined);
    }),
    { numRuns: 3000 },
  );
});

test("a pattern of many wildcards is decided quickly", (t) => {
  const grant = `uri:x:/${"**/a/".repeat(200)}b`;
  const started = performance.now();
  t.false(identityMatches(grant, uri(`x:/${"a/".repeat(1000)}c`)));
  t.true(performance.now() - started < 1000);
});
