import test from "ava";
import fc from "fast-check";
import { canonicalName, type Pattern, parsePattern, patternCovers, patternMatches } from "../../src/tls-sni/index.js";

function pattern(text: string): Pattern {
  const parsed = parsePattern(text);
  if (parsed.status === "invalid") throw new Error(`${text}: ${parsed.problem}`);
  return parsed.pattern;
}

/** All names of up to four labels over two letters, and no name. */
const allNames: (string | undefined)[] = [undefined];
for (let depth = 1, names = [""]; depth <= 4; depth++) {
  names = names.flatMap((below) => ["a", "b"].map((label) => (below === "" ? label : `${label}.${below}`)));
  allNames.push(...names);
}

const anyPattern = fc
  .tuple(fc.constantFrom("", "*.", "**."), fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 3 }))
  .map(([wildcard, labels]) => pattern(wildcard + labels.join(".")));
const orAll = fc.oneof({ weight: 9, arbitrary: anyPattern }, { weight: 1, arbitrary: fc.constant(pattern("*")) });

test("patterns match as the contract says", (t) => {
  const expected: Record<string, { yes: (string | undefined)[]; no: (string | undefined)[] }> = {
    "a.example.com": { yes: ["a.example.com"], no: ["b.example.com", "x.a.example.com", "example.com", undefined] },
    "*.example.com": {
      yes: ["a.example.com", "_a-1.example.com"],
      no: ["example.com", "a.b.example.com", "evilexample.com", "a.evilexample.com", undefined],
    },
    "**.example.com": {
      yes: ["a.example.com", "a.b.example.com", "a.b.c.example.com"],
      no: ["example.com", "evilexample.com", ".example.com", "example.com.evil.com", undefined],
    },
    "*": { yes: ["a.example.com", "localhost", undefined], no: [] },
  };
  for (const [text, { yes, no }] of Object.entries(expected)) {
    for (const name of yes) t.true(patternMatches(pattern(text), name), `${text} ${name}`);
    for (const name of no) t.false(patternMatches(pattern(text), name), `${text} ${name}`);
  }
});

test("a pattern's text is canonical: lower case, without the trailing dot", (t) => {
  for (const [text, canonical, kind] of [
    ["A.Example.COM", "a.example.com", "exact"],
    ["a.example.com.", "a.example.com", "exact"],
    ["*.Example.com.", "*.example.com", "one-label"],
    ["**.example.com", "**.example.com", "any-label"],
    ["*", "*", "all"],
  ] as const) {
    t.like(pattern(text), { text: canonical, kind });
    t.deepEqual(pattern(canonical), pattern(text));
  }
});

test("what is not a pattern is refused with what is wrong with it", (t) => {
  for (const [text, problem] of [
    ["", /empty/],
    [".", /empty/],
    ["*.", /empty/],
    ["**", /needs a name behind it/],
    ["a..example.com", /label is empty/],
    [".example.com", /label is empty/],
    ["a.*.example.com", /may stand only/],
    ["w*.example.com", /may stand only/],
    ["***.example.com", /may stand only/],
    ["*.*.example.com", /may stand only/],
    ["*.*", /may stand only/],
    ["a example", /" " is not a letter/],
    ["a.example:443", /":" is not a letter/],
    ["bücher.example", /"ü" is not ASCII/],
    ["\u212A.example", /is not ASCII/],
    ["192.0.2.1", /IP addresses/],
    ["2001:db8::1", /":"/],
    [`${"a".repeat(64)}.example`, /64 characters, at most 63/],
    [`${"a.".repeat(126)}ab`, /254 characters, at most 253/],
    [`*.${"a.".repeat(125)}ab`, /at most 251/],
  ] as const) {
    const parsed = parsePattern(text);
    t.regex(parsed.status === "invalid" ? parsed.problem : `"${text}" was taken`, problem);
  }
});

test("a canonical name stays as it is, and its pattern matches it and nothing else", (t) => {
  fc.assert(
    fc.property(fc.string({ maxLength: 40, unit: fc.constantFrom(..."aZ09-_.*: ü\u212A\0") }), (text) => {
      const name = canonicalName(text);
      const parsed = parsePattern(text);
      if (name === undefined) {
        t.false(parsed.status === "ok" && parsed.pattern.kind === "exact");
        if (parsed.status === "invalid") t.not(parsed.problem, "");
        return;
      }
      t.is(canonicalName(name), name);
      t.true(parsed.status === "ok" && patternMatches(parsed.pattern, name));
      t.regex(name, /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/);
    }),
    { numRuns: 2000 },
  );
});

test("one pattern covers another exactly when every name of the other is its own", (t) => {
  fc.assert(
    fc.property(orAll, orAll, (grant, announced) => {
      const every = allNames.every((name) => !patternMatches(announced, name) || patternMatches(grant, name));
      // The enumeration ends at four labels: no difference between `*.` and `**.` shows behind a suffix of three.
      fc.pre(announced.kind !== "any-label" || announced.name.split(".").length < 3);
      t.is(patternCovers(grant, announced), every, `${grant.text} covers ${announced.text}`);
    }),
    { numRuns: 3000 },
  );
});

test("behind a suffix that leaves room for one short label, one and any label are the same", (t) => {
  const long = (length: number) => `${"a.".repeat(length).slice(0, length - 1)}b`;
  for (const [length, same] of [
    [249, false],
    [250, true],
    [251, true],
  ] as const) {
    const suffix = long(length).replace(/\.b$/, "bb");
    t.is(suffix.length, length);
    t.is(patternCovers(pattern(`*.${suffix}`), pattern(`**.${suffix}`)), same);
    t.is(patternMatches(pattern(`**.${suffix}`), `c.d.${suffix}`) && `c.d.${suffix}`.length <= 253, !same);
  }
});
