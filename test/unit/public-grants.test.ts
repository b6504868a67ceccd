import test from "ava";
import fc from "fast-check";
import { identityMatches } from "../../src/certificates/identity-match.js";
import { createGrants, type GrantStatement } from "../../src/public/grants.js";
import { patternCovers } from "../../src/tls-sni/index.js";
import { dns, pattern, uri } from "./announcing.js";

const grant = (identity: string, names: readonly string[], shared = false): GrantStatement => ({
  identity,
  names,
  shared,
  balance: "least-connections",
});

/** What is granted, what is announced, whether the one covers the other. */
const names: readonly (readonly [granted: string, announced: string, covered: boolean])[] = [
  ["a.example.com", "a.example.com", true],
  ["A.Example.COM", "a.example.com", true],
  ["a.example.com", "A.EXAMPLE.com.", true],
  ["a.example.com", "b.example.com", false],
  ["example.com", "evilexample.com", false],
  ["*.example.com", "evilexample.com", false],
  ["**.example.com", "evilexample.com", false],
  ["**.example.com", "a.evilexample.com", false],
  ["*.example.com", "a.example.com", true],
  ["*.example.com", "example.com", false],
  ["*.example.com", "a.b.example.com", false],
  ["*.example.com", "*.example.com", true],
  ["*.example.com", "*.b.example.com", false],
  ["*.example.com", "**.example.com", false],
  ["*.example.com", "*", false],
  ["**.example.com", "a.b.example.com", true],
  ["**.example.com", "*.example.com", true],
  ["**.example.com", "*.b.example.com", true],
  ["**.example.com", "**.example.com", true],
  ["**.example.com", "**.b.example.com", true],
  ["**.b.example.com", "**.example.com", false],
  ["**.example.com", "example.com", false],
  ["**.example.com", "*", false],
  ["*", "*", true],
  ["*", "**.example.com", true],
  ["*", "*.com", true],
  ["*", "a.example.com", true],
  ["a.example.com", "*.example.com", false],
  ["xn--bcher-kva.example", "XN--BCHER-KVA.example", true],
  ["*.example", "xn--bcher-kva.example", true],
  ["xn--bcher-kva.example", "bcher.example", false],
];

for (const [granted, announced, covered] of names) {
  test(`a grant of ${granted} ${covered ? "covers" : "does not cover"} ${announced}`, (t) => {
    const decision = createGrants([grant("site", [granted])]).decide(dns("site"), pattern(announced));
    t.deepEqual(decision, covered ? { status: "granted", shared: false } : { status: "denied" });
  });
}

test("a bare identity and dns: mean the DNS name, uri: the URI, and neither the other", (t) => {
  const spiffe = "spiffe://example.org/site/a";
  const cases = [
    ["site", dns("site"), true],
    ["SITE", dns("site"), true],
    ["dns:site", dns("site"), true],
    ["uri:site", dns("site"), false],
    [`uri:${spiffe}`, uri(spiffe), true],
    [spiffe, uri(spiffe), false],
    [`dns:${spiffe}`, uri(spiffe), false],
    ["*.example.com", dns("a.example.com"), true],
    ["*.example.com", dns("a.evilexample.com"), false],
    ["uri:spiffe://example.org/site/*", uri(spiffe), true],
    ["uri:spiffe://example.org/*", uri(spiffe), false],
  ] as const;
  for (const [granted, identity, matches] of cases) {
    const { status } = createGrants([grant(granted, ["*"])]).decide(identity, pattern("a.example.com"));
    t.is(status, matches ? "granted" : "denied", `${granted} for ${identity.text}`);
  }
});

test("a name is shared when one of the grants that cover it says so", (t) => {
  const grants = createGrants([grant("site", ["*.example.com"]), grant("site", ["a.example.com"], true)]);
  t.deepEqual(grants.decide(dns("site"), pattern("a.example.com")), { status: "granted", shared: true });
  t.deepEqual(grants.decide(dns("site"), pattern("b.example.com")), { status: "granted", shared: false });
});

test("every granted pattern is listed once, in canonical form", (t) => {
  const grants = createGrants([grant("a", ["*.Example.com", "b.example.com."]), grant("b", ["b.example.com"])]);
  t.deepEqual(
    grants.patterns.map(({ pattern }) => pattern),
    ["*.example.com", "b.example.com"],
  );
});

test("of several grants of one pattern the first says how clients are dealt out", (t) => {
  const { patterns } = createGrants([
    { ...grant("a", ["x.test"]), balance: "source-ip" },
    { ...grant("b", ["X.test", "y.test"]), balance: "round-robin" },
  ]);
  t.deepEqual(patterns, [
    { pattern: "x.test", balance: "source-ip" },
    { pattern: "y.test", balance: "round-robin" },
  ]);
});

const anyPattern = fc
  .tuple(fc.constantFrom("", "*.", "**."), fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 3 }))
  .map(([wildcard, labels]) => wildcard + labels.join("."));
const anyName = fc.oneof({ weight: 9, arbitrary: anyPattern }, { weight: 1, arbitrary: fc.constant("*") });
const anyGrant = fc.record({
  identity: fc.constantFrom("site", "*.b", "dns:a.b", "**.b"),
  names: fc.array(anyName, { maxLength: 4 }),
  shared: fc.boolean(),
  balance: fc.constant("least-connections" as const),
});

test("a decision is what looking at every grant one by one comes to", (t) => {
  fc.assert(
    fc.property(
      fc.array(anyGrant, { maxLength: 6 }),
      fc.constantFrom(dns("site"), dns("a.b"), dns("c.a.b"), uri("x:y")),
      anyName,
      (statements, identity, announced) => {
        const covering = statements.filter(
          (statement) =>
            identityMatches(statement.identity, identity) &&
            statement.names.some((name) => patternCovers(pattern(name), pattern(announced))),
        );
        t.deepEqual(
          createGrants(statements).decide(identity, pattern(announced)),
          covering.length === 0
            ? { status: "denied" }
            : { status: "granted", shared: covering.some(({ shared }) => shared) },
        );
      },
    ),
    { numRuns: 500 },
  );
});

test("a decision among 10,000 grants does not look at each of them", (t) => {
  const statements = Array.from({ length: 10_000 }, (_, i) => grant("site", [`host-${i}.example.com`]));
  const grants = createGrants(statements);
  const announced = statements.map(({ names: [name] }) => pattern(name!));
  const started = performance.now();
  t.true(announced.every((one) => grants.decide(dns("site"), one).status === "granted"));
  t.true(performance.now() - started < 1000);
});
