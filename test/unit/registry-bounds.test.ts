import test from "ava";
import type { Identity } from "../../src/certificates/identity.js";
import { createGrants } from "../../src/public/grants.js";
import { createRegistry, maxNamesPerSession } from "../../src/public/registry.js";
import { usualTerms } from "./announcing.js";

const identity = (name: string) => ({ type: "dns", value: name, text: `dns:${name}` }) as unknown as Identity;
const grants = (shared: boolean) =>
  createGrants(
    ["one", "two"].map((name) => ({
      identity: name,
      names: ["**.example.com"],
      shared,
      balance: "least-connections" as const,
    })),
  );
const one = { session: "1", identity: identity("one") };
const two = { session: "2", identity: identity("two") };

/** What an attached peer can make the registry do must not grow with the square of what it sends. */
const briefMs = 5000;

test("announcements that bear no name cost nothing, however many there are", (t) => {
  const registry = createRegistry(grants(false));
  const begun = performance.now();
  for (let announcementId = 0; announcementId < 30_000; announcementId++) {
    registry.announce(one, { announcementId, names: [], ...usualTerms });
  }
  t.true(performance.now() - begun < briefMs);
  t.deepEqual(registry.list(), []);
});

test("as many announcements as names are allowed, with one name each, take no time to speak of", (t) => {
  const registry = createRegistry(grants(false));
  const begun = performance.now();
  for (let announcementId = 0; announcementId < maxNamesPerSession; announcementId++) {
    registry.announce(one, { announcementId, names: [`${announcementId}.example.com`], ...usualTerms });
  }
  t.is(registry.accepted, maxNamesPerSession);
  const over = registry.announce(one, { announcementId: -1, names: ["over.example.com"], ...usualTerms });
  t.is(over.results[0]?.results[0]?.status, "full");
  registry.drop("1");
  t.true(performance.now() - begun < briefMs);
  t.is(registry.accepted, 0);
});

test("a session that announces one name over and over is full after a while, and another session is not hindered", (t) => {
  const registry = createRegistry(grants(true));
  const begun = performance.now();
  let full = 0;
  for (let announcementId = 0; announcementId < maxNamesPerSession; announcementId++) {
    const { results } = registry.announce(one, { announcementId, names: ["a.example.com"], ...usualTerms });
    if (results[0]?.results[0]?.status === "full") full++;
  }
  t.is(maxNamesPerSession - full, 64);
  const other = registry.announce(two, { announcementId: 1, names: ["a.example.com"], ...usualTerms });
  t.is(other.results[0]?.results[0]?.status, "accepted");
  registry.drop("1");
  t.true(performance.now() - begun < briefMs);
  t.is(registry.accepted, 1);
});

test("when a grant ceases to say shared, the identity that came first keeps the name and the other one waits", (t) => {
  const registry = createRegistry(grants(true));
  registry.announce(one, { announcementId: 1, names: ["a.example.com"], ...usualTerms });
  registry.announce(two, { announcementId: 1, names: ["a.example.com"], ...usualTerms });
  t.is(registry.accepted, 2);
  const change = registry.regrant(grants(false));
  t.deepEqual(
    change.withdrawn.map(({ session }) => session),
    ["2"],
  );
  t.deepEqual(
    registry.list().map(({ status }) => status),
    ["accepted", "taken"],
  );
});

test("a name that a shared and an unshared identity hold stays with both when one session of the unshared one leaves", (t) => {
  const registry = createRegistry(
    createGrants([
      { identity: "one", names: ["a.example.com"], shared: false, balance: "least-connections" },
      { identity: "two", names: ["a.example.com"], shared: true, balance: "least-connections" },
    ]),
  );
  registry.announce(one, { announcementId: 1, names: ["a.example.com"], ...usualTerms });
  registry.announce(two, { announcementId: 1, names: ["a.example.com"], ...usualTerms });
  registry.announce({ ...one, session: "1b" }, { announcementId: 1, names: ["a.example.com"], ...usualTerms });
  registry.drop("1");
  t.deepEqual(
    new Map(registry.list().map(({ session, status }) => [session, status])),
    new Map([
      ["1b", "accepted"],
      ["2", "accepted"],
    ]),
  );
});
