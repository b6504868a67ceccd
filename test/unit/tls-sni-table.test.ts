import test from "ava";
import fc from "fast-check";
import { createPatternTable, type Pattern, parsePattern, patternMatches, preferAlpn } from "../../src/tls-sni/index.js";

function pattern(text: string): Pattern {
  const parsed = parsePattern(text);
  if (parsed.status === "invalid") throw new Error(`${text}: ${parsed.problem}`);
  return parsed.pattern;
}

function tableOf(...texts: string[]) {
  const table = createPatternTable<string>();
  for (const text of texts) table.add(pattern(text), text);
  return table;
}

const texts = (entries: Iterable<{ pattern: Pattern }>) => [...entries].map((entry) => entry.pattern.text);

test("the most specific pattern comes first", (t) => {
  const order = ["a.b.example.com", "*.b.example.com", "**.b.example.com", "**.example.com", "**.com", "*"];
  const table = tableOf(...order.toReversed(), "*.example.com", "b.example.com", "*.com");
  t.deepEqual(texts(table.lookup("a.b.example.com")), order);
  t.deepEqual(texts(table.lookup("x.example.com")), ["*.example.com", "**.example.com", "**.com", "*"]);
  t.deepEqual(texts(table.lookup("localhost")), ["*"]);
});

test("a client without a name finds only what is announced for everything", (t) => {
  t.deepEqual(texts(tableOf("a.example.com", "**.com").lookup(undefined)), []);
  t.deepEqual(texts(tableOf("a.example.com", "*").lookup(undefined)), ["*"]);
});

test("values come and go, and a pattern goes with its last value", (t) => {
  const table = createPatternTable<string>();
  const a = pattern("a.example.com");
  t.true(table.add(a, "one"));
  t.true(table.add(pattern("A.example.com."), "two"));
  t.false(table.add(a, "one"));
  t.is(table.size, 1);
  t.deepEqual([...table.lookup("a.example.com")[0]!.values], ["one", "two"]);
  t.true(table.delete(a, "one"));
  t.false(table.delete(a, "one"));
  t.false(table.delete(pattern("*.example.com"), "two"));
  t.true(table.delete(a, "two"));
  t.is(table.size, 0);
  t.deepEqual(table.lookup("a.example.com"), []);
});

const anyText = fc
  .tuple(fc.constantFrom("", "*.", "**."), fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 }))
  .map(([wildcard, labels]) => wildcard + labels.join("."));
const anyName = fc
  .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 5 })
  .map((labels) => labels.join("."));

test("a look-up finds exactly the patterns that match, each less specific than the one before", (t) => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.oneof(anyText, fc.constant("*")), { maxLength: 30 }), anyName, (all, name) => {
      const found = tableOf(...all).lookup(name);
      const matching = all.filter((text) => patternMatches(pattern(text), name));
      t.deepEqual(texts(found).toSorted(), matching.toSorted());
      const ranks = found.map(({ pattern }) => specificity(pattern));
      t.deepEqual(
        ranks,
        ranks.toSorted((x, y) => y - x),
      );
    }),
    { numRuns: 1000 },
  );
});

test("the table lists its patterns and survives any order of changes", (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), anyText, fc.constantFrom("x", "y")), { maxLength: 60 }), (changes) => {
      const table = createPatternTable<string>();
      const model = new Set<string>();
      for (const [add, text, value] of changes) {
        const key = `${text} ${value}`;
        if (add) t.is(table.add(pattern(text), value), !model.has(key));
        else t.is(table.delete(pattern(text), value), model.has(key));
        if (add) model.add(key);
        else model.delete(key);
      }
      const left = [...new Set([...model].map((key) => key.split(" ")[0]!))].toSorted();
      t.deepEqual([...table.patterns()].map(({ text }) => text).toSorted(), left);
      t.is(table.size, left.length);
    }),
  );
});

test("among 100,000 patterns each name finds its own and no other", (t) => {
  const table = createPatternTable<number>();
  for (let i = 0; i < 100_000; i++) table.add(pattern(`${["", "*.", "**."][i % 3]}host-${i}.example.com`), i);
  t.is(table.size, 100_000);
  t.deepEqual(texts(table.lookup("host-99999.example.com")), ["host-99999.example.com"]);
  t.deepEqual(texts(table.lookup("a.host-4.example.com")), ["*.host-4.example.com"]);
  t.deepEqual(texts(table.lookup("a.b.host-5.example.com")), ["**.host-5.example.com"]);
});

test("an announcement that names an offered protocol is preferred, and alone", (t) => {
  const plain = { id: "plain", alpn: [] };
  const acme = { id: "acme", alpn: ["acme-tls/1"] };
  const web = { id: "web", alpn: ["h2", "http/1.1"] };
  const chosen = (offered: string[], ...values: { id: string; alpn: string[] }[]) =>
    preferAlpn(values, offered).map(({ id }) => id);
  t.deepEqual(chosen(["acme-tls/1"], plain, acme, web), ["acme"]);
  t.deepEqual(chosen(["http/1.1", "h2"], plain, acme, web), ["web"]);
  t.deepEqual(chosen(["h2", "acme-tls/1"], plain, acme, web), ["acme", "web"]);
  t.deepEqual(chosen(["postgresql"], plain, acme, web), ["plain"]);
  t.deepEqual(chosen([], acme, plain), ["plain"]);
  t.deepEqual(chosen(["h3"], acme, web), []);
});

function specificity({ kind, name }: Pattern): number {
  if (kind === "exact") return Number.POSITIVE_INFINITY;
  return kind === "all" ? -1 : name.length * 2 + (kind === "one-label" ? 1 : 0);
}
