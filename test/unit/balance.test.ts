import test from "ava";
import fc from "fast-check";
import { type Candidate, createCandidate } from "../../src/balance/candidate.js";
import { choose } from "../../src/balance/choose.js";
import { hashSource } from "../../src/balance/hash.js";
import { type BalanceMethod, balanceMethods } from "../../src/balance/method.js";

interface Server {
  readonly candidate: Candidate;
  load: number;
}

function server(weight: number, key = "s", tieKey = "", load = 0, random = Math.random): Server {
  return { candidate: createCandidate({ weight, key, tieKey, random }), load };
}

function servers(...weights: number[]): Server[] {
  return weights.map((weight, at) => server(weight, `server-${at}`));
}

function ask(method: BalanceMethod, among: readonly Server[], source?: string, random = Math.random) {
  return choose({ method, among, loadOf: ({ load }) => load, source, random });
}

const anyWeight = fc.integer({ min: 1, max: 1000 });
const anyServers = fc.array(fc.record({ weight: anyWeight, load: fc.nat(20) }), { minLength: 1, maxLength: 8 });

/** How many of `clients` each gets. Each stays as long as `stays` says: so many of those that come after it. */
function shares(among: readonly Server[], method: BalanceMethod, clients: number, stays: (client: number) => number) {
  const counts = among.map(() => 0);
  const there: { readonly of: Server; readonly until: number }[] = [];
  for (let client = 0; client < clients; client++) {
    for (let at = there.length - 1; at >= 0; at--) {
      if (there[at]!.until > client) continue;
      there[at]!.of.load--;
      there.splice(at, 1);
    }
    const chosen = ask(method, among, `192.0.2.${client % 256}`)!;
    counts[among.indexOf(chosen)]!++;
    chosen.load++;
    there.push({ of: chosen, until: client + stays(client) });
  }
  return counts;
}

const within = (count: number, wanted: number, part: number) => Math.abs(count - wanted) <= wanted * part;

test("whatever the method, somebody is chosen where there is somebody, and one alone has all", (t) => {
  for (const method of balanceMethods) {
    t.is(ask(method, [], "192.0.2.1"), undefined);
    const [only] = servers(1);
    t.is(ask(method, [only!], "192.0.2.1"), only);
    fc.assert(
      fc.property(anyServers, fc.ipV4(), (all, source) => {
        const among = all.map(({ weight, load }, at) => server(weight, `${at}`, "", load));
        const chosen = ask(method, among, source);
        t.true(chosen !== undefined && among.includes(chosen));
      }),
    );
  }
});

test("least-connections: the chosen one has at most twice as many for its weight as any other would have, and two of the lightest one's", (t) => {
  fc.assert(
    fc.property(anyServers, (all) => {
      const among = all.map(({ weight, load }, at) => server(weight, `${at}`, "", load));
      const chosen = ask("least-connections", among)!;
      const least = Math.min(...among.map(({ load, candidate }) => (load + 1) / candidate.weight));
      const lightest = Math.min(...all.map(({ weight }) => weight));
      t.true(chosen.load / chosen.candidate.weight < 2 * least + 2 / lightest);
    }),
  );
});

test("least-connections: among equal weights the chosen one has the fewest", (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { minLength: 1, maxLength: 8 }), anyWeight, (loads, weight) => {
      const among = loads.map((load, at) => server(weight, `${at}`, "", load));
      t.is(ask("least-connections", among)!.load, Math.min(...loads));
    }),
  );
});

// However long they stay: one after another, a few at once, all at once.
for (const [weights, stay] of [
  [1, 1],
  [3, 1],
  [1, 3],
  [5, 2, 1],
].flatMap((weights) => [0, 1, 2, 5, 20, 2000].map((stay) => [weights, stay] as const))) {
  for (const method of ["least-connections", "round-robin"] as const) {
    test(`${method}: weights of ${weights.join(":")}, each client there for ${stay} more, and shares within 10 %`, (t) => {
      const all = weights.reduce((sum, weight) => sum + weight, 0);
      const counts = shares(servers(...weights), method, 1000, () => stay);
      t.true(
        counts.every((count, at) => within(count, (1000 * weights[at]!) / all, 0.1)),
        counts.join(" "),
      );
    });
  }
}

test("least-connections: weights of 3:1 hold too where clients stay for anything between nothing and ten more", (t) => {
  let seed = 1;
  const stays = () => {
    seed = Math.imul(seed, 48_271) & 0x7fffffff;
    return seed % 11;
  };
  const counts = shares(servers(3, 1), "least-connections", 1000, stays);
  t.true(within(counts[0]!, 750, 0.1) && within(counts[1]!, 250, 0.1), counts.join(" "));
});

test("least-connections: weights of 3:1 hold too where the light one, with less to do, is done sooner", (t) => {
  for (const atOnce of [4, 20, 60]) {
    const among = servers(3, 1);
    const counts = among.map(() => 0);
    const there: { readonly at: number; left: number }[] = [];
    for (let client = 0; client < 1000; ) {
      while (there.length < atOnce && client++ < 1000) {
        const at = among.indexOf(ask("least-connections", among)!);
        among[at]!.load++;
        counts[at]!++;
        there.push({ at, left: (at === 0 ? 20 : 12) + (client % 7) });
      }
      for (const one of there) one.left--;
      for (const one of there.filter(({ left }) => left === 0)) {
        among[one.at]!.load--;
        there.splice(there.indexOf(one), 1);
      }
    }
    t.true(within(counts[0]!, 750, 0.1) && within(counts[1]!, 250, 0.1), `${atOnce}: ${counts.join(" ")}`);
  }
});

test("least-connections: who had to stand back for long has not all turns afterwards", (t) => {
  const [busy, idle] = servers(1, 1);
  busy!.load = 10;
  for (let i = 0; i < 100; i++) t.is(ask("least-connections", [busy!, idle!]), idle);
  busy!.load = 0;
  const next = Array.from({ length: 8 }, () => ask("least-connections", [busy!, idle!]));
  t.true(next.filter((one) => one === busy).length <= 6);
});

test("round-robin: turns are spread, never a block for each", (t) => {
  const among = servers(5, 1, 1).map(({ candidate }) => server(candidate.weight, candidate.key, "", 0, () => 0));
  const turns = Array.from({ length: 7 }, () => among.indexOf(ask("round-robin", among)!)).join("");
  t.is(turns, "0010200");
});

test("round-robin: at any time each has had its share of the turns, give or take as many as there are", (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 6 }), (weights) => {
      const among = servers(...weights);
      const all = weights.reduce((sum, weight) => sum + weight, 0);
      const counts = weights.map(() => 0);
      for (let turn = 1; turn <= 100; turn++) {
        counts[among.indexOf(ask("round-robin", among)!)]!++;
        for (const [at, count] of counts.entries()) {
          t.true(Math.abs(count - (turn * weights[at]!) / all) <= weights.length);
        }
      }
    }),
    { numRuns: 50 },
  );
});

test("round-robin: those who come and go leave the others their shares", (t) => {
  const [a, b, c] = servers(2, 1, 1);
  for (let i = 0; i < 101; i++) ask("round-robin", [a!, b!, c!]);
  const counts = new Map<Server, number>();
  const count = (among: Server[], turns: number) => {
    counts.clear();
    for (let i = 0; i < turns; i++) {
      const next = ask("round-robin", among)!;
      counts.set(next, (counts.get(next) ?? 0) + 1);
    }
  };
  count([a!, b!], 300);
  t.true(within(counts.get(a!)!, 200, 0.03));
  count([b!, c!, server(2, "new")], 400);
  t.true(within(counts.get(b!)!, 100, 0.05) && within(counts.get(c!)!, 100, 0.05));
});

test("random-two: of two the one with fewer connections, of many the fullest never, and by weight where all are idle", (t) => {
  const [a, b] = servers(1, 1);
  a!.load = 5;
  for (let i = 0; i < 100; i++) t.is(ask("random-two", [a!, b!]), b);
  const many = servers(1, 1, 1, 1);
  many[2]!.load = 9;
  for (let i = 0; i < 200; i++) t.not(ask("random-two", many), many[2]);
  const counts = shares(servers(3, 1), "random-two", 4000, () => 0);
  t.true(within(counts[0]!, 3000, 0.1), counts.join(" "));
  t.true(within(shares(servers(3, 1), "random-two", 1000, () => 2000)[0]!, 750, 0.02));
});

const addresses = Array.from({ length: 4000 }, (_, i) => `10.${i >> 8}.${i & 255}.7`);
const ownersOf = (among: readonly Server[], of = addresses) => of.map((ip) => ask("source-ip", among, ip)!);

test("source-ip: a client stays, whatever the connections, in whatever order the servers stand, and in another process", (t) => {
  fc.assert(
    fc.property(fc.array(anyWeight, { minLength: 1, maxLength: 8 }), fc.ipV4(), (weights, ip) => {
      const among = servers(...weights);
      const owner = ask("source-ip", among, ip)!.candidate.key;
      for (const one of among) one.load = Math.floor(Math.random() * 100);
      t.is(ask("source-ip", among.toReversed(), ip)!.candidate.key, owner);
      t.is(ask("source-ip", servers(...weights), ip)!.candidate.key, owner);
    }),
  );
});

test("source-ip: whom an address belongs to is the same in every release", (t) => {
  const owners = ["192.0.2.1", "192.0.2.2", "198.51.100.7", "2001:db8::1", "10.0.0.1"].map(
    (ip) => ask("source-ip", servers(1, 1, 1, 1, 1), ip)!.candidate.key,
  );
  t.deepEqual(owners, ["server-4", "server-3", "server-3", "server-1", "server-2"]);
});

test("source-ip: when one of ten leaves, its clients are shared among the nine, and nobody else's move", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 10, maxLength: 10 }),
      fc.nat(9),
      (weights, at) => {
        const among = servers(...weights);
        const before = ownersOf(among);
        const left = among[at]!;
        const after = ownersOf(among.filter((one) => one !== left));
        for (const [client, owner] of before.entries()) if (owner !== left) t.is(after[client], owner);
        const taken = new Set(before.flatMap((owner, client) => (owner === left ? [after[client]] : [])));
        t.is(taken.size, 9);
      },
    ),
    { numRuns: 10 },
  );
});

test("source-ip: shares are as the weights say", (t) => {
  for (const weights of [[1, 1], [3, 1], [1, 2, 3, 4], Array.from({ length: 10 }, () => 1)]) {
    const among = servers(...weights);
    const all = weights.reduce((sum, weight) => sum + weight, 0);
    const owners = ownersOf(among);
    for (const [at, weight] of weights.entries()) {
      const count = owners.filter((owner) => owner === among[at]).length;
      t.true(within(count, (addresses.length * weight) / all, 0.15), `${weights.join(":")}: ${at} has ${count}`);
    }
  }
});

test("source-ip: keys that differ in one character are chosen as independently as any", (t) => {
  const among = Array.from({ length: 16 }, (_, at) => server(1, `dns:site private-proxy-${at}`));
  const neighbours = Array.from({ length: 8000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
  const owners = ownersOf(among, neighbours);
  const counts = among.map((one) => owners.filter((owner) => owner === one).length);
  // Chi-square with 15 degrees of freedom: above 37.7 once in a thousand.
  const chiSquare = counts.reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0);
  t.true(chiSquare < 37.7, `${chiSquare.toFixed(1)}: ${counts.join(" ")}`);
});

test("source-ip: a restart under the same key keeps its clients; replicas of one key share them, and only their own move", (t) => {
  const before = [server(1, "a", "first"), server(1, "b", "first")];
  const restarted = [before[0]!, server(1, "b", "second")];
  t.deepEqual(
    ownersOf(before).map(({ candidate }) => candidate.key),
    ownersOf(restarted).map(({ candidate }) => candidate.key),
  );
  const replicas = [server(1, "b", "one"), server(1, "b", "two"), server(1, "b", "three"), server(1, "a", "")];
  const owners = ownersOf(replicas);
  for (const replica of replicas.slice(0, 3)) {
    t.true(within(owners.filter((owner) => owner === replica).length, addresses.length / 6, 0.15));
  }
  const without = ownersOf(replicas.slice(1));
  for (const [client, owner] of owners.entries()) if (owner !== replicas[0]) t.is(without[client], owner);
});

test("source-ip: replicas of one key with weights of their own share by them, and the lightest one's leaving moves only its clients", (t) => {
  const among = [server(1, "b", "light"), server(3, "b", "heavy"), server(3, "a", "")];
  const owners = ownersOf(among);
  t.true(within(owners.filter((owner) => owner === among[2]).length, addresses.length / 2, 0.1));
  t.true(within(owners.filter((owner) => owner === among[0]).length, addresses.length / 8, 0.15));
  const without = ownersOf(among.slice(1));
  for (const [client, owner] of owners.entries()) if (owner !== among[0]) t.is(without[client], owner);
});

test("source-ip: an IPv4-mapped address is the IPv4 address, and hosts of one /64 are one client", (t) => {
  t.is(hashSource("::ffff:192.0.2.7"), hashSource("192.0.2.7"));
  t.not(hashSource("::ffff:192.0.2.8"), hashSource("192.0.2.7"));
  t.is(hashSource("2001:db8:1:2::1"), hashSource("2001:db8:1:2:abcd:1:2:3"));
  t.is(hashSource("fe80::1%eth0"), hashSource("fe80::2"));
  t.not(hashSource("2001:db8:1:2::1"), hashSource("2001:db8:1:3::1"));
  t.not(hashSource("2001:db8:1:2::1"), hashSource("2001:db9:1:2::1"));
  t.notThrows(() => hashSource("unix"));
});

test("source-ip: who has no address is given to whoever has the fewest connections", (t) => {
  const [a, b] = servers(1, 1);
  a!.load = 1;
  t.is(ask("source-ip", [a!, b!], undefined), b);
});

test("a choice among ten costs a few microseconds, whatever the method", (t) => {
  const among = servers(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
  for (const method of balanceMethods) {
    const started = performance.now();
    for (let i = 0; i < 20_000; i++) ask(method, among, addresses[i % addresses.length]);
    t.true(performance.now() - started < 1000, method);
  }
});
