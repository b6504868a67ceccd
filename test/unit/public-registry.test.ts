import test from "ava";
import { createGrants, type GrantStatement } from "../../src/public/grants.js";
import { createRegistry, maxNamesPerSession, type RegistryChange } from "../../src/public/registry.js";
import type { Terms } from "../../src/public/terms.js";
import { dns, usualTerms } from "./announcing.js";

const grant = (identity: string, names: readonly string[], shared = false): GrantStatement => ({
  identity,
  names,
  shared,
  balance: "least-connections",
});
const everything = (...identities: string[]) => createGrants(identities.map((identity) => grant(identity, ["*"])));
const who = (session: string, identity: string) => ({ session, identity: dns(identity) });
const announcement = (names: readonly string[], announcementId = 1, terms: Partial<Terms> = {}) => ({
  announcementId,
  names,
  ...usualTerms,
  ...terms,
});
/** `session name status`, in the order in which they are told. */
const told = ({ results }: RegistryChange) =>
  results.flatMap(({ session, results }) => results.map(({ name, status }) => `${session} ${name} ${status}`));
const nothing: RegistryChange = { results: [], accepted: [], withdrawn: [] };

test("each name of an announcement gets its own result, also one that is no name", (t) => {
  const registry = createRegistry(createGrants([grant("a", ["*.example.com"])]));
  const change = registry.announce(
    who("s", "a"),
    announcement(["One.example.com", "other.test", "no name", "", "*.**"]),
  );
  t.deepEqual(told(change).toSorted(), [
    "s  invalid",
    "s *.** invalid",
    "s no name invalid",
    "s one.example.com accepted",
    "s other.test denied",
  ]);
  t.deepEqual(change.accepted, [{ session: "s", announcementId: 1, ...usualTerms, patterns: ["one.example.com"] }]);
  t.is(registry.accepted, 1);
});

test("a name passes on to those who wait, in order of arrival, and they are told unasked", (t) => {
  const registry = createRegistry(everything("a", "b", "c"));
  registry.announce(who("sa", "a"), announcement(["x.test"]));
  t.deepEqual(told(registry.announce(who("sc", "c"), announcement(["x.test"], 7))), ["sc x.test taken"]);
  t.deepEqual(told(registry.announce(who("sb", "b"), announcement(["x.test"]))), ["sb x.test taken"]);
  const change = registry.drop("sa");
  t.deepEqual(told(change), ["sc x.test accepted"]);
  t.deepEqual(change.accepted, [{ session: "sc", announcementId: 7, ...usualTerms, patterns: ["x.test"] }]);
  t.deepEqual(told(registry.withdraw("sc", 7)), ["sb x.test accepted"]);
});

test("an announcement that was given up keeps no place in the queue", (t) => {
  const registry = createRegistry(everything("a", "b", "c"));
  registry.announce(who("sa", "a"), announcement(["x.test"]));
  registry.announce(who("sb1", "b"), announcement(["x.test"]));
  registry.announce(who("sc", "c"), announcement(["x.test"]));
  registry.announce(who("sb2", "b"), announcement(["x.test"]));
  registry.drop("sb1");
  t.deepEqual(told(registry.drop("sa")), ["sc x.test accepted"]);
});

test("sessions of one identity serve a name side by side, and it stays theirs until the last has left", (t) => {
  const registry = createRegistry(everything("a", "b"));
  registry.announce(who("s1", "a"), announcement(["x.test"]));
  t.deepEqual(told(registry.announce(who("s2", "a"), announcement(["x.test"]))), ["s2 x.test accepted"]);
  registry.announce(who("other", "b"), announcement(["x.test"]));
  t.deepEqual(registry.drop("s1"), nothing);
  t.deepEqual(told(registry.drop("s2")), ["other x.test accepted"]);
});

test("an announcement made anew with other protocols never frees the names that it keeps", (t) => {
  const registry = createRegistry(everything("a", "b"));
  registry.announce(who("s", "a"), announcement(["x.test", "y.test"]));
  registry.announce(who("waiting", "b"), announcement(["x.test"]));
  const change = registry.announce(who("s", "a"), announcement(["x.test"], 1, { alpn: ["h2"] }));
  t.deepEqual(told(change), ["s x.test accepted"]);
  t.deepEqual(change.withdrawn, [{ session: "s", announcementId: 1, patterns: ["y.test"] }]);
  t.deepEqual(change.accepted, [
    { session: "s", announcementId: 1, ...usualTerms, alpn: ["h2"], patterns: ["x.test"] },
  ]);
});

test("an announcement made anew with another weight or priority is accepted anew, and nothing is withdrawn", (t) => {
  const registry = createRegistry(everything("a"));
  registry.announce(who("s", "a"), announcement(["x.test", "y.test"]));
  for (const terms of [
    { weight: 3, priority: 0 },
    { weight: 3, priority: 1 },
  ]) {
    const change = registry.announce(who("s", "a"), announcement(["x.test", "y.test"], 1, terms));
    t.deepEqual(change.withdrawn, []);
    t.deepEqual(change.accepted, [
      { session: "s", announcementId: 1, alpn: [], ...terms, patterns: ["x.test", "y.test"] },
    ]);
  }
  t.like(registry.list()[0], { weight: 3, priority: 1 });
});

test("an announcement made anew as it was changes nothing and is answered again", (t) => {
  const registry = createRegistry(everything("a"));
  registry.announce(who("s", "a"), announcement(["x.test"], 1, { alpn: ["h2"] }));
  const change = registry.announce(who("s", "a"), announcement(["X.test."], 1, { alpn: ["h2"] }));
  t.deepEqual(told(change), ["s x.test accepted"]);
  t.deepEqual([change.accepted, change.withdrawn], [[], []]);
});

test("one name in two announcements of a session is freed with the second", (t) => {
  const registry = createRegistry(everything("a", "b"));
  registry.announce(who("s", "a"), announcement(["x.test"], 1, { alpn: ["h2"] }));
  registry.announce(who("s", "a"), announcement(["x.test"], 2));
  registry.announce(who("other", "b"), announcement(["x.test"]));
  t.deepEqual(told(registry.withdraw("s", 1)), []);
  t.deepEqual(told(registry.withdraw("s", 2)), ["other x.test accepted"]);
});

test("a shared grant joins whoever holds the name; an exclusive one waits until nobody does", (t) => {
  const registry = createRegistry(createGrants([grant("a", ["*"]), grant("b", ["*"], true), grant("c", ["*"], true)]));
  t.deepEqual(told(registry.announce(who("sb", "b"), announcement(["x.test"]))), ["sb x.test accepted"]);
  t.deepEqual(told(registry.announce(who("sc", "c"), announcement(["x.test"]))), ["sc x.test accepted"]);
  t.deepEqual(told(registry.announce(who("sa", "a"), announcement(["x.test"]))), ["sa x.test taken"]);
  t.deepEqual(told(registry.drop("sb")), []);
  t.deepEqual(told(registry.drop("sc")), ["sa x.test accepted"]);
});

test("grants that are no longer shared leave the name to the identity that came first", (t) => {
  const both = ["a", "b"] as const;
  const registry = createRegistry(createGrants(both.map((identity) => grant(identity, ["*"], true))));
  registry.announce(who("sb", "b"), announcement(["x.test"]));
  registry.announce(who("sa", "a"), announcement(["x.test"]));
  const change = registry.regrant(everything("a", "b"));
  t.deepEqual(told(change), ["sa x.test taken"]);
  t.deepEqual(change.withdrawn, [{ session: "sa", announcementId: 1, patterns: ["x.test"] }]);
  t.deepEqual(told(registry.drop("sb")), ["sa x.test accepted"]);
});

test("new grants deny, accept and pass on, and each change is told once", (t) => {
  const registry = createRegistry(everything("a"));
  registry.announce(who("sa", "a"), announcement(["x.test", "y.test"]));
  registry.announce(who("sb", "b"), announcement(["x.test", "y.test"]));
  const change = registry.regrant(createGrants([grant("a", ["y.test"]), grant("b", ["*"])]));
  t.deepEqual(told(change).toSorted(), ["sa x.test denied", "sb x.test accepted", "sb y.test taken"]);
  t.deepEqual(registry.regrant(createGrants([grant("a", ["y.test"]), grant("b", ["*"])])), nothing);
});

test("beyond its limit a session's names are full, and there is room again when some are gone", (t) => {
  const registry = createRegistry(everything("a"));
  const names = Array.from({ length: maxNamesPerSession }, (_, i) => `host-${i}.test`);
  registry.announce(who("s", "a"), announcement(names));
  t.is(registry.accepted, maxNamesPerSession);
  t.deepEqual(told(registry.announce(who("s", "a"), announcement(["more.test"], 2))), ["s more.test full"]);
  t.deepEqual(told(registry.announce(who("other", "a"), announcement(["more.test"], 2))), ["other more.test accepted"]);
  registry.announce(who("s", "a"), announcement(names.slice(1)));
  t.deepEqual(told(registry.announce(who("s", "a"), announcement(["more.test"], 2))), ["s more.test accepted"]);
});

test("what nobody announced can be withdrawn and dropped without harm", (t) => {
  const registry = createRegistry(everything("a"));
  t.deepEqual(registry.withdraw("nobody", 1), nothing);
  t.deepEqual(registry.drop("nobody"), nothing);
  registry.announce(who("s", "a"), announcement([]));
  t.deepEqual(registry.drop("s"), nothing);
  t.deepEqual(registry.list(), []);
});

/** Milliseconds for one call. */
function ms(work: () => void): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}

test("10,000 names are announced, announced anew, regranted and dropped in well under two seconds each", (t) => {
  const names = Array.from({ length: 10_000 }, (_, i) => `host-${i}.example.com`);
  const grants = () => createGrants(names.map((name) => grant("a", [name])));
  const registry = createRegistry(grants());
  const a = who("s", "a");
  t.true(ms(() => registry.announce(a, announcement(names))) < 2000);
  t.true(ms(() => registry.announce(a, announcement(names))) < 2000);
  t.true(ms(() => registry.announce(a, announcement(names, 1, { alpn: ["h2"] }))) < 2000);
  t.true(ms(() => registry.regrant(grants())) < 2000);
  t.is(registry.accepted, 10_000);
  t.true(ms(() => registry.drop("s")) < 2000);
  t.is(registry.accepted, 0);
});

test("10,000 announcements of one name each cost no more than one of 10,000 names", (t) => {
  const registry = createRegistry(everything("a"));
  const spent = ms(() => {
    for (let i = 0; i < 10_000; i++) registry.announce(who("s", "a"), announcement([`host-${i}.test`], i));
  });
  t.true(spent < 2000);
});

test("10,000 sessions that claim one name come and go in well under two seconds", (t) => {
  const registry = createRegistry(everything("a", "b"));
  const sessions = Array.from({ length: 10_000 }, (_, i) => `s-${i}`);
  const spent = ms(() => {
    for (const [i, session] of sessions.entries()) {
      registry.announce(who(session, i % 2 === 0 ? "a" : "b"), announcement(["x.test"]));
    }
    t.is(registry.accepted, 5000);
    for (const session of sessions) registry.drop(session);
  });
  t.is(registry.accepted, 0);
  t.true(spent < 2000);
});
