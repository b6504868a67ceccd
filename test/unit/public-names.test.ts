import test from "ava";
import fc from "fast-check";
import type { GrantedPattern } from "../../src/public/messages.js";
import { createNames, type Names } from "../../src/public/names.js";
import { patternMatches } from "../../src/tls-sni/index.js";
import { facts, handClock, pattern, usualTerms } from "./announcing.js";

const holdMs = 3000;

function granted(patterns: readonly string[]): GrantedPattern[] {
  return patterns.map((pattern) => ({ pattern, balance: "least-connections" }));
}

/** Names with everything granted, past the hold that follows the start. */
function running(grantedPatterns: readonly string[] = ["*"]) {
  const now = handClock();
  const names = createNames({ now });
  names.configure({ grantedPatterns: granted(grantedPatterns), startupHoldMs: holdMs });
  now.pass(holdMs);
  return { names, now };
}

function attach(names: Names, ...sessions: string[]): void {
  for (const session of sessions) names.attached(facts(session));
}

function announce(names: Names, session: string, patterns: readonly string[], alpn: string[] = [], announcementId = 1) {
  names.announced({ session, announcementId, patterns, ...usualTerms, alpn });
}

/** The sessions that a hello is offered to, or why none. */
function asked(names: Names, serverName: string | undefined, alpn: readonly string[] = []): string {
  const match = names.match({ serverName, alpn });
  if (match.status === "announced") return match.announcers.map(({ session }) => session.session).join(" ");
  return match.status === "hold" ? "hold" : match.reason;
}

test("the most specific announcement gets the client", (t) => {
  const { names } = running();
  attach(names, "exact", "one", "any", "shorter", "all");
  announce(names, "all", ["*"]);
  announce(names, "shorter", ["**.test"]);
  announce(names, "any", ["**.b.test"]);
  announce(names, "one", ["*.b.test"]);
  announce(names, "exact", ["a.b.test"]);
  const order = ["exact", "one", "any", "shorter", "all"];
  for (const session of order) {
    t.is(asked(names, "a.b.test"), session);
    names.sessionGone(session);
  }
});

test("among announcements of one pattern those that name an offered protocol are preferred", (t) => {
  const { names } = running();
  attach(names, "plain", "acme");
  announce(names, "plain", ["a.test"]);
  announce(names, "acme", ["a.test"], ["acme-tls/1"]);
  t.is(asked(names, "a.test", ["acme-tls/1"]), "acme");
  t.is(asked(names, "a.test", ["h2"]), "plain");
  t.is(asked(names, "a.test"), "plain");
});

test("where no announcement of the most specific pattern speaks the protocol, the next one is asked", (t) => {
  const { names } = running();
  attach(names, "exact", "wild");
  announce(names, "exact", ["a.test"], ["h2"]);
  announce(names, "wild", ["*.test"]);
  t.is(asked(names, "a.test", ["h2"]), "exact");
  t.is(asked(names, "a.test", ["http/1.1"]), "wild");
  names.sessionGone("wild");
  t.is(asked(names, "a.test", ["h3"]), "hold");
});

test("a client without a server name finds only what is announced for everything", (t) => {
  const { names } = running();
  attach(names, "s");
  announce(names, "s", ["**.test"]);
  t.is(asked(names, undefined), "server_name_missing");
  announce(names, "s", ["*"], [], 2);
  t.is(asked(names, undefined), "s");
});

test("after the start a granted name is held, another one never", (t) => {
  const now = handClock();
  const names = createNames({ now });
  names.configure({ grantedPatterns: granted(["*.test"]), startupHoldMs: holdMs });
  t.deepEqual(names.match({ serverName: "a.test", alpn: [] }), { status: "hold", until: now() + holdMs });
  t.is(asked(names, "a.b.test"), "server_name_not_granted");
  t.is(asked(names, undefined), "server_name_missing");
  now.pass(holdMs - 1);
  t.is(asked(names, "a.test"), "hold");
  now.pass(1);
  t.is(asked(names, "a.test"), "server_name_not_announced");
});

test("a name is held after its last private proxy left, not after the last but one", (t) => {
  const { names, now } = running();
  attach(names, "one", "two");
  announce(names, "one", ["a.test"]);
  announce(names, "two", ["a.test"]);
  names.sessionGone("one");
  t.is(asked(names, "a.test"), "two");
  names.sessionGone("two");
  t.deepEqual(names.match({ serverName: "a.test", alpn: [] }), { status: "hold", until: now() + holdMs });
  t.is(asked(names, "b.test"), "server_name_not_announced");
  now.pass(holdMs);
  t.is(asked(names, "a.test"), "server_name_not_announced");
});

test("what is under a wildcard is held when the wildcard's last private proxy has left", (t) => {
  const { names } = running();
  attach(names, "s");
  announce(names, "s", ["*.test"]);
  names.sessionLeft("s");
  t.is(asked(names, "a.test"), "hold");
  t.is(asked(names, "a.b.test"), "server_name_not_announced");
});

test("a private proxy that is leaving is not asked any more, and its names are held for its successor", (t) => {
  const { names, now } = running();
  attach(names, "old", "new");
  announce(names, "old", ["a.test"]);
  names.sessionLeft("old");
  t.is(asked(names, "a.test"), "hold");
  announce(names, "new", ["a.test"]);
  t.is(asked(names, "a.test"), "new");
  // The stream of the one that left ends later: its names are not its own any more.
  now.pass(1);
  names.sessionGone("old");
  t.is(asked(names, "a.test"), "new");
});

test("a name that was withdrawn is not held", (t) => {
  const { names } = running();
  attach(names, "s");
  announce(names, "s", ["a.test", "b.test"]);
  names.withdrawn("s", 1, ["a.test"]);
  t.is(asked(names, "a.test"), "server_name_not_announced");
  t.is(asked(names, "b.test"), "s");
  names.sessionGone("s");
  t.is(asked(names, "a.test"), "server_name_not_announced");
});

test("a name that came back and was then withdrawn is not held for its earlier departure", (t) => {
  const { names } = running();
  attach(names, "s", "again");
  announce(names, "s", ["a.test"]);
  names.sessionGone("s");
  announce(names, "again", ["a.test"]);
  names.withdrawn("again", 1, ["a.test"]);
  t.is(asked(names, "a.test"), "server_name_not_announced");
});

test("an announcement that was withdrawn whole comes back with its new protocols", (t) => {
  const { names } = running();
  attach(names, "s");
  announce(names, "s", ["a.test"]);
  names.withdrawn("s", 1, ["a.test"]);
  announce(names, "s", ["a.test"], ["h2"]);
  t.is(asked(names, "a.test", ["h2"]), "s");
  t.is(asked(names, "a.test"), "server_name_not_announced");
});

test("what is told of a session that is not attached changes nothing", (t) => {
  const { names } = running();
  announce(names, "nobody", ["a.test"]);
  names.withdrawn("nobody", 1, ["a.test"]);
  names.sessionLeft("nobody");
  names.sessionGone("nobody");
  t.is(names.size, 0);
});

test("those who wait for a name are woken once, by whatever pattern serves it, and no one else is", (t) => {
  const cases = [
    ["a.b.test", ["a.b.test", "*.b.test", "**.b.test", "**.test", "*"]],
    [undefined, ["*"]],
  ] as const;
  const all = ["a.b.test", "*.b.test", "**.b.test", "**.test", "*", "b.test", "*.test", "x.b.test"];
  for (const [serverName, wakers] of cases) {
    for (const text of all) {
      const { names } = running();
      attach(names, "s");
      let woken = 0;
      names.onAnnounced(serverName, () => woken++);
      names.onAnnounced("elsewhere.example", () => t.is(text, "*"));
      announce(names, "s", [text]);
      announce(names, "s", [text], [], 2);
      t.is(woken, (wakers as readonly string[]).includes(text) ? 1 : 0, `${serverName} by ${text}`);
    }
  }
});

test("one who has forgotten to wait is not woken, and the others are", (t) => {
  const { names } = running();
  attach(names, "s");
  const woken: string[] = [];
  const forget = names.onAnnounced("a.test", () => woken.push("first"));
  names.onAnnounced("a.test", () => woken.push("second"));
  forget();
  forget();
  announce(names, "s", ["a.test"]);
  t.deepEqual(woken, ["second"]);
});

test("one who waits again from within the wake-up is woken by the next announcement", (t) => {
  const { names } = running();
  attach(names, "s");
  let woken = 0;
  const wait = (): void => void names.onAnnounced("a.test", () => ++woken < 10 && wait());
  wait();
  announce(names, "s", ["a.test"]);
  t.is(woken, 1);
  announce(names, "s", ["*.test"], [], 2);
  t.is(woken, 2);
});

const texts = ["a.test", "b.test", "a.b.test", "*.test", "**.test", "*.b.test", "*"];
const anySession = fc.constantFrom("s1", "s2", "s3");
const anyChange = fc.oneof(
  fc.record({
    type: fc.constant("announced" as const),
    session: anySession,
    id: fc.integer({ min: 1, max: 2 }),
    patterns: fc.uniqueArray(fc.constantFrom(...texts), { maxLength: 4 }),
  }),
  fc.record({
    type: fc.constant("withdrawn" as const),
    session: anySession,
    id: fc.integer({ min: 1, max: 2 }),
    patterns: fc.uniqueArray(fc.constantFrom(...texts), { maxLength: 4 }),
  }),
  fc.record({ type: fc.constantFrom("left" as const, "gone" as const), session: anySession }),
);

test("after any changes a client is offered to exactly those who announce its most specific pattern", (t) => {
  fc.assert(
    fc.property(fc.array(anyChange, { maxLength: 40 }), (changes) => {
      const { names } = running();
      attach(names, "s1", "s2", "s3");
      const model = new Set<string>();
      for (const change of changes) {
        const { session } = change;
        if (change.type === "announced") {
          announce(names, session, change.patterns, [], change.id);
          for (const text of change.patterns) model.add(`${session} ${change.id} ${text}`);
        } else if (change.type === "withdrawn") {
          names.withdrawn(session, change.id, change.patterns);
          for (const text of change.patterns) model.delete(`${session} ${change.id} ${text}`);
        } else {
          if (change.type === "left") names.sessionLeft(session);
          else {
            names.sessionGone(session);
            attach(names, session);
          }
          for (const key of model) if (key.startsWith(`${session} `)) model.delete(key);
        }
        const held = [...model].map((key) => key.split(" ") as [string, string, string]);
        t.is(names.size, new Set(held.map(([, , text]) => text)).size);
        for (const serverName of ["a.test", "a.b.test", "c.b.test", undefined]) {
          const order = ["a.b.test", "a.test", "b.test", "*.b.test", "*.test", "**.test", "*"];
          const best = order.find(
            (text) => patternMatches(pattern(text), serverName) && held.some(([, , one]) => one === text),
          );
          const match = names.match({ serverName, alpn: [] });
          const found =
            match.status === "announced"
              ? match.announcers.map(({ session, announcementId }) => `${session.session} ${announcementId}`)
              : [];
          const expected = held.filter(([, , text]) => text === best).map(([session, id]) => `${session} ${id}`);
          t.deepEqual(found.toSorted(), expected.toSorted());
        }
      }
      for (const session of ["s1", "s2", "s3"]) names.sessionGone(session);
      t.is(names.size, 0);
    }),
    { numRuns: 200 },
  );
});

/** Milliseconds for one call. */
function ms(work: () => void): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}

test("a look-up costs the same among 100,000 names as among 100", (t) => {
  const lookups = 20_000;
  function cost(count: number): number {
    const { names } = running();
    attach(names, "s");
    const all = Array.from({ length: count }, (_, i) => `${["", "*.", "**."][i % 3]}host-${i}.example.com`);
    announce(names, "s", all);
    const lookUp = () => {
      for (let i = 0; i < lookups; i++) names.match({ serverName: `a.host-${i % count}.example.com`, alpn: [] });
    };
    lookUp();
    return Math.min(...[1, 2, 3].map(() => ms(lookUp)));
  }
  // Caches miss more often in the larger table; a search through it would cost a thousand times as much.
  t.true(cost(100_000) < 20 * cost(100) + 50);
});

test("10,000 announced names wake 10,000 who wait in well under a second", (t) => {
  for (const wildcard of ["", "*."]) {
    const { names } = running();
    attach(names, "s");
    let woken = 0;
    for (let i = 0; i < 10_000; i++) names.onAnnounced(`${wildcard && "a."}host-${i}.test`, () => woken++);
    const spent = ms(() =>
      announce(
        names,
        "s",
        Array.from({ length: 10_000 }, (_, i) => `${wildcard}host-${i}.test`),
      ),
    );
    t.is(woken, 10_000);
    t.true(spent < 1000, `${spent} ms`);
  }
});

test("10,000 names withdrawn one by one cost no more than all at once", (t) => {
  const { names } = running();
  attach(names, "s");
  const all = Array.from({ length: 10_000 }, (_, i) => `host-${i}.test`);
  announce(names, "s", all);
  const spent = ms(() => {
    for (const name of all) names.withdrawn("s", 1, [name]);
  });
  t.is(names.size, 0);
  t.true(spent < 1000, `${spent} ms`);
});

test("an announcement made anew on other terms has them at once, for all its names, which are never without it", (t) => {
  const { names } = running();
  attach(names, "s", "other");
  announce(names, "s", ["a.test", "b.test"]);
  announce(names, "other", ["a.test"]);
  names.announced({ session: "s", announcementId: 1, patterns: ["a.test"], alpn: [], weight: 3, priority: 1 });
  for (const [serverName, count] of [["a.test", 2] as const, ["b.test", 1] as const]) {
    const match = names.match({ serverName, alpn: [] });
    if (match.status !== "announced") return t.fail();
    t.is(match.announcers.length, count);
    const [mine] = match.announcers.filter(({ session }) => session.session === "s");
    t.like(mine, { weight: 3, priority: 1, announcementId: 1 });
    t.is(mine?.candidate.weight, 3);
  }
  names.sessionGone("s");
  t.is(asked(names, "a.test"), "other");
  return t.is(names.size, 1);
});

test("the same announcement again keeps its place in the rotation", (t) => {
  const { names } = running();
  attach(names, "s");
  announce(names, "s", ["a.test"]);
  const candidate = () => {
    const match = names.match({ serverName: "a.test", alpn: [] });
    return match.status === "announced" ? match.announcers[0]?.candidate : undefined;
  };
  const before = candidate();
  announce(names, "s", ["a.test", "b.test"]);
  t.is(candidate(), before);
});

test("a private proxy is the same to source-ip after a restart; another process beside it is told apart", (t) => {
  const { names } = running();
  for (const [session, instance] of [
    ["before", "i1"],
    ["after", "i2"],
  ] as const) {
    names.attached({ ...facts(session), identity: "dns:site", name: "proxy", instance });
    announce(names, session, ["a.test"]);
  }
  const match = names.match({ serverName: "a.test", alpn: [] });
  if (match.status !== "announced") return t.fail();
  const [before, after] = match.announcers.map(({ candidate }) => candidate);
  t.is(before!.key, after!.key);
  return t.not(before!.tieKey, after!.tieKey);
});

test("clients are dealt out as the most specific granted pattern says that covers their name", (t) => {
  const names = createNames({ now: handClock() });
  t.is(names.balanceOf("a.test"), "least-connections");
  names.configure({
    startupHoldMs: 0,
    grantedPatterns: [
      { pattern: "*", balance: "least-connections" },
      { pattern: "**.test", balance: "round-robin" },
      { pattern: "*.test", balance: "random-two" },
      { pattern: "a.test", balance: "source-ip" },
    ],
  });
  t.deepEqual(
    ["a.test", "b.test", "c.b.test", "example.com", undefined].map((name) => names.balanceOf(name)),
    ["source-ip", "random-two", "round-robin", "least-connections", "least-connections"],
  );
  names.configure({ startupHoldMs: 0, grantedPatterns: [{ pattern: "*.test", balance: "source-ip" }] });
  t.is(names.balanceOf("b.test"), "source-ip");
  names.configure({ startupHoldMs: 0, grantedPatterns: [] });
  t.is(names.balanceOf("b.test"), "least-connections");
});
