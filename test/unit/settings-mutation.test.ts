import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import { stringify } from "yaml";
import { loadPrivateSettings, loadPublicSettings } from "../../src/settings/load.js";
import { formatProblem } from "../../src/settings/problem.js";
import { settingsDirectory } from "./settings-files.js";

type Tree = { [key: string]: unknown };

const shared = {
  splice: { idleTimeoutMs: 5, halfClosedTimeoutMs: 5 },
  shutdown: { graceMs: 5 },
  transport: { engine: "node", workers: 2, maxPipes: 16 },
  log: { level: "info", format: "json", file: "x.log", connections: false },
};
const mesh = { certificate: "own.crt", key: "own.key", ca: "root.crt", keepalive: { intervalMs: 5, timeoutMs: 5 } };
const roles = [
  {
    load: loadPublicSettings,
    settings: {
      name: "p",
      tls: { listen: ["127.0.0.1:1", "unix:/x"], helloTimeoutMs: 5, maxHelloBytes: 512 },
      rendezvous: { listen: "127.0.0.1:2", advertise: [":2"], attemptTimeoutMs: 5, deadlineMs: 6, startupHoldMs: 0 },
      mesh: { listen: "127.0.0.1:3", ...mesh },
      grants: [{ identity: "a", names: ["*.b", "c"], shared: true }],
      limits: { connections: 5, perClientAddress: 5, perName: 5, perPrivateProxy: 5, parked: 5, halfOpenHellos: 5 },
      admin: { listen: "127.0.0.1:4", socket: "s", token: "t" },
      ...shared,
    },
  },
  {
    load: loadPrivateSettings,
    settings: {
      name: "p",
      mesh: {
        publics: ["a:1"],
        serverName: "b",
        rendezvous: ["10.0.0.0/8"],
        reconnect: { minMs: 1, maxMs: 2 },
        ...mesh,
      },
      targets: [
        {
          names: ["a"],
          alpn: ["h2"],
          address: "h:1",
          proxyProtocol: "v1",
          connectTimeoutMs: 5,
          maxConnections: 2,
          queue: { max: 3, timeoutMs: 4 },
        },
      ],
      admin: { socket: "s" },
      ...shared,
    },
  },
] as const;

/** Every map and list of a tree with the keys in it. */
function holdersIn(tree: unknown): [Tree, string][] {
  if (typeof tree !== "object" || tree === null) return [];
  const holder = tree as Tree;
  return Object.keys(holder).flatMap((key) => [[holder, key] as [Tree, string], ...holdersIn(holder[key])]);
}

type Mutation = { where: number } & ({ how: "drop" } | { how: "rename"; to: string } | { how: "retype"; to: unknown });

function mutate(tree: Tree, mutation: Mutation): void {
  const holders = holdersIn(tree);
  if (holders.length === 0) return;
  const [holder, key] = holders[mutation.where % holders.length]!;
  if (mutation.how === "retype") {
    // A copy: the same list put in at two places could come to stand in itself.
    holder[key] = structuredClone(mutation.to);
    return;
  }
  if (Array.isArray(holder)) {
    holder.splice(Number(key), 1);
    return;
  }
  const value = holder[key];
  delete holder[key];
  if (mutation.how === "drop") return;
  // Assigning would set the prototype where the new name is `__proto__`.
  Object.defineProperty(holder, mutation.to, { value, enumerable: true, configurable: true, writable: true });
}

const names = fc.oneof(
  fc.string(),
  fc.constantFrom("__proto__", "constructor", "listen", "name", "tls", "<<", "targets"),
);
const mutations: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ where: fc.nat(), how: fc.constant("drop" as const) }),
  fc.record({ where: fc.nat(), how: fc.constant("rename" as const), to: names }),
  fc.record({
    where: fc.nat(),
    how: fc.constant("retype" as const),
    to: fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom("", "*", "unix:", -1, 1e300, [], {}, [[]], [{}], [null]),
    ),
  }),
);

for (const { load, settings } of roles) {
  test(`whatever is dropped, renamed or retyped: ${load.name} gives settings, or problems with a position`, (t) => {
    const directory = settingsDirectory(t, {});
    fc.assert(
      fc.property(fc.array(mutations, { minLength: 1, maxLength: 4 }), fc.boolean(), (changes, asJson) => {
        const tree: Tree = structuredClone(settings);
        for (const change of changes) mutate(tree, change);
        const path = join(directory, asJson ? "settings.json" : "settings.yml");
        const text = asJson ? JSON.stringify(tree, null, 2) : stringify(tree, { aliasDuplicateObjects: false });
        writeFileSync(path, text);
        const lineCount = text.split("\n").length;

        const result = load({ path, env: {} });
        if (result.status === "ok") return;
        t.true(result.problems.length > 0);
        for (const problem of result.problems) {
          const { line = 0, column = 0 } = problem;
          const formatted = formatProblem(problem);
          t.true(problem.file === path && line >= 1 && line <= lineCount && column >= 1, formatted);
          t.false(/\p{Cc}/u.test(formatted), formatted);
        }
      }),
      { numRuns: 400, includeErrorInReport: true },
    );
  });
}

test("whatever bytes a file holds, loading gives an answer", (t) => {
  const directory = settingsDirectory(t, {});
  const path = join(directory, "settings.yml");
  const fragment = fc.constantFrom(
    "name",
    ": ",
    "\n",
    "  ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "*a",
    "&a ",
    "<<: ",
    "? ",
    "| ",
    '"',
    "'",
    "#",
    "!t ",
    "%",
    "---\n",
    "tls",
    "\t",
    "\0",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(fragment, fc.string({ maxLength: 5 })), { maxLength: 30 }), (parts) => {
      writeFileSync(path, parts.join(""));
      const result = loadPublicSettings({ path, env: {} });
      t.true(result.status === "invalid" && result.problems.length > 0);
    }),
    { numRuns: 500 },
  );
});
