import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { balanceMethods } from "../../src/balance/method.js";
import { linesAt, linesOf, privateYaml, publicYaml, type RoleName, settingsDirectory } from "./settings-files.js";

interface Case {
  readonly what: string;
  readonly role?: RoleName;
  /** Appended to settings that are in order; `whole` stands for itself. */
  readonly text?: string;
  readonly whole?: string;
  readonly lines: readonly string[];
}

const publicAllowed = "name, tls, rendezvous, mesh, grants, limits, admin, splice, shutdown, transport, state, log";
const patternAllowed = "allowed: a.example.com, *.example.com, **.example.com or *";

const cases: Case[] = [
  {
    what: "an unknown key near a known one is told which was meant",
    text: "shutdown: { graceMS: 5 }",
    lines: ["settings.yml:9:13 shutdown.graceMS: this key is not known, did you mean graceMs?"],
  },
  {
    what: "an unknown key near none is told which are allowed",
    text: "shutdown: { patience: 5 }",
    lines: ["settings.yml:9:13 shutdown.patience: this key is not known, allowed are graceMs"],
  },
  {
    what: "a key that would reach a prototype is an unknown key",
    text: "__proto__: { polluted: 1 }\nconstructor: 1\nlog: { toString: 1 }",
    lines: [
      `settings.yml:9:1 __proto__: this key is not known, allowed are ${publicAllowed}`,
      `settings.yml:10:1 constructor: this key is not known, allowed are ${publicAllowed}`,
      "settings.yml:11:8 log.toString: this key is not known, allowed are level, format, file, connections",
    ],
  },
  {
    what: "a setting of the other role is told where it belongs",
    role: "private",
    text: "grants: []",
    lines: [
      "settings.yml:7:1 grants: this is a setting of a public proxy, these are a private proxy's: " +
        "name, mesh, targets, pool, admin, splice, shutdown, transport, state, log",
    ],
  },
  {
    what: "a private proxy's admin port is refused with the reason",
    role: "private",
    text: 'admin: { listen: "127.0.0.1:1" }',
    lines: ["settings.yml:7:10 admin.listen: a private proxy opens no TCP port, use admin.socket instead"],
  },
  {
    what: "a text is no number, and nothing is converted behind the writer's back",
    text: 'shutdown: { graceMs: "30000" }\nlog: { connections: "yes" }',
    lines: [
      'settings.yml:9:22 shutdown.graceMs: expected an integer in 0-2147483647, found "30000"',
      'settings.yml:10:21 log.connections: expected true or false, found "yes"',
    ],
  },
  {
    what: "a number where text belongs is told to be quoted",
    whole: publicYaml.replace("public-1", "17"),
    lines: ["settings.yml:1:7 name: expected text of 1-64 characters, found the number 17 (put it in quotes)"],
  },
  {
    what: "a number out of its range is told the range, also in a map that stands twice",
    text: "tls: { maxHelloBytes: 511 }\nsplice: { idleTimeoutMs: 0, halfClosedTimeoutMs: 1.5 }",
    lines: [
      "settings.yml:9:1 tls: this key stands in line 2 already, allowed is once",
      "settings.yml:9:23 tls.maxHelloBytes: expected an integer in 512-65536, found the number 511",
      "settings.yml:10:26 splice.idleTimeoutMs: expected an integer in 1-2147483647, found the number 0",
      "settings.yml:10:50 splice.halfClosedTimeoutMs: expected an integer in 1-2147483647, found the number 1.5",
    ],
  },
  {
    what: "a load balancer is an address or a network, not a name and not a port",
    whole: publicYaml.replace(
      "tls: {",
      'tls: { acceptProxyProtocol: ["10.0.0.0/8", "lb.example.com", "10.0.0.1:443", "10.0.0.0/40"],',
    ),
    lines: [
      'settings.yml:2:44 tls.acceptProxyProtocol[1]: "lb.example.com": expected an IP address or a network (CIDR)',
      'settings.yml:2:62 tls.acceptProxyProtocol[2]: "10.0.0.1:443": expected an IP address or a network (CIDR)',
      'settings.yml:2:78 tls.acceptProxyProtocol[3]: "10.0.0.0/40": the prefix /40 is not in 0-32',
    ],
  },
  {
    what: "a value that is not among those allowed is told all of them",
    text: "log: { level: verbose }\ntransport: { engine: fast }",
    lines: [
      'settings.yml:9:15 log.level: expected one of trace, debug, info, warn, error, fatal, silent, found "verbose"',
      'settings.yml:10:22 transport.engine: expected one of auto, epoll, node, found "fast"',
    ],
  },
  {
    what: "a map where a value belongs, and a value where a map belongs",
    text: "log: info\nadmin: { listen: { port: 1 } }\nlimits: []",
    lines: [
      'settings.yml:9:6 log: expected a map with level, format, file, connections, found "info"',
      "settings.yml:10:18 admin.listen: expected host:port or [v6]:port, or a list of them, found a map",
      "settings.yml:11:9 limits: expected a map with connections, perClientAddress, perName, perPrivateProxy, parked, pooledPerPrivateProxy, halfOpenHellos, found a list",
    ],
  },
  {
    what: "a key without a value is no default",
    text: "shutdown:\n  graceMs:\n",
    lines: ["settings.yml:10:3 shutdown.graceMs: expected an integer in 0-2147483647, found nothing"],
  },
  {
    what: "an empty file misses every required key",
    whole: "",
    lines: [
      "settings.yml:1:1 name: is missing, expected text of 1-64 characters (here or as PROXY_NAME)",
      "settings.yml:1:1 tls.listen: is missing, expected host:port, [v6]:port or unix:/path, or a list of them (here or as PROXY_TLS_LISTEN)",
      "settings.yml:1:1 rendezvous.listen: is missing, expected host:port, [v6]:port or unix:/path, or a list of them (here or as PROXY_RENDEZVOUS_LISTEN)",
      "settings.yml:1:1 mesh.listen: is missing, expected host:port, [v6]:port or unix:/path, or a list of them (here or as PROXY_MESH_LISTEN)",
      "settings.yml:1:1 mesh.certificate: is missing, expected the path of a readable file (here or as PROXY_MESH_CERTIFICATE)",
      "settings.yml:1:1 mesh.key: is missing, expected the path of a readable file (here or as PROXY_MESH_KEY)",
      "settings.yml:1:1 mesh.ca: is missing, expected the path of a readable file (here or as PROXY_MESH_CA)",
    ],
  },
  {
    what: "a missing key is asked for where its map stands",
    role: "private",
    whole: privateYaml.replace("  ca: root.crt\n", ""),
    lines: ["settings.yml:2:1 mesh.ca: is missing, expected the path of a readable file (here or as PROXY_MESH_CA)"],
  },
  {
    what: "addresses that are none say why, each item of a list by itself",
    whole: publicYaml.replace('"127.0.0.1:4433"', '["127.0.0.1:99999", foo, ":1", "1.2.3:4", "127.0.0.1:4433"]'),
    lines: [
      'settings.yml:2:17 tls.listen[0]: "127.0.0.1:99999": port 99999 is not in 0-65535',
      'settings.yml:2:36 tls.listen[1]: "foo": expected host:port, [v6]:port or unix:/path',
      'settings.yml:2:41 tls.listen[2]: ":1": the host is missing (0.0.0.0 or [::] for all)',
      'settings.yml:2:47 tls.listen[3]: "1.2.3:4": 1.2.3 is not an IPv4 address',
    ],
  },
  {
    what: "a unix socket's path has 107 bytes at most",
    role: "private",
    text: `targets: [{ names: [a], address: "unix:/${"x".repeat(107)}" }]`,
    lines: [
      `settings.yml:7:34 targets[0].address: "unix:/${"x".repeat(74)}…": the unix socket's path has 108 bytes, at most 107 are possible`,
    ],
  },
  {
    what: "what is dialled has a port, and what is dialled from afar is no unix socket",
    role: "private",
    whole: `${privateYaml.replace('["127.0.0.1:4435"]', '["unix:/x", "a:0"]')}targets: [{ names: [a], address: "b:0" }]`,
    lines: [
      'settings.yml:3:13 mesh.publics[0]: "unix:/x": a unix socket leads to no other machine, expected host:port or [v6]:port',
      'settings.yml:3:24 mesh.publics[1]: "a:0": port 0 cannot be dialled, expected 1-65535',
      'settings.yml:7:34 targets[0].address: "b:0": port 0 cannot be dialled, expected 1-65535',
    ],
  },
  {
    what: "a list that needs an item is not empty",
    role: "private",
    whole: `${privateYaml.replace('["127.0.0.1:4435"]', "[]")}targets: [{ names: [], address: "b:1" }]`,
    lines: [
      "settings.yml:3:12 mesh.publics: the list is empty, expected at least one item: host:port or [v6]:port",
      "settings.yml:7:20 targets[0].names: the list is empty, expected at least one item: a server-name pattern: a.example.com, *.example.com, **.example.com or *",
    ],
  },
  {
    what: "a way of balancing that there is not is told which there are",
    text: "grants: [{ identity: a, names: [a], balance: random }]",
    lines: [`settings.yml:9:46 grants[0].balance: expected one of ${balanceMethods.join(", ")}, found "random"`],
  },
  {
    what: "server-name patterns",
    text: 'grants:\n  - identity: a\n    names: ["a..b", "x.*.b", "a*.b", "10.0.0.1", "bücher.de", "a b", "*."]',
    lines: [
      `settings.yml:11:13 grants[0].names[0]: "a..b": a label is empty; ${patternAllowed}`,
      `settings.yml:11:21 grants[0].names[1]: "x.*.b": an asterisk can only be the whole first label; ${patternAllowed}`,
      `settings.yml:11:30 grants[0].names[2]: "a*.b": an asterisk can only be the whole first label; ${patternAllowed}`,
      `settings.yml:11:38 grants[0].names[3]: "10.0.0.1": an IP address is not a server name (RFC 6066 §3); ${patternAllowed}`,
      `settings.yml:11:50 grants[0].names[4]: "bücher.de": a name beyond ASCII is written in its xn-- form; ${patternAllowed}`,
      `settings.yml:11:63 grants[0].names[5]: "a b": the label "a b" holds more than letters, digits, hyphen and underscore; ${patternAllowed}`,
      `settings.yml:11:70 grants[0].names[6]: "*.": an asterisk can only be the whole first label; ${patternAllowed}`,
    ],
  },
  {
    what: "identities",
    text: 'grants:\n  - { identity: "", names: [a] }\n  - { identity: "spiffe://x", names: [a] }\n  - { identity: "cn:x", names: [a] }\n  - { identity: "uri:", names: [a] }\n  - { names: [a] }',
    lines: [
      'settings.yml:10:17 grants[0].identity: "": the identity is empty, expected NAME, dns:NAME or uri:URI',
      'settings.yml:11:17 grants[1].identity: "spiffe://x": a URI is written with its prefix: uri:spiffe://x',
      'settings.yml:12:17 grants[2].identity: "cn:x": expected NAME, dns:NAME (letters, digits, hyphen, underscore and dot) or uri:URI',
      'settings.yml:13:17 grants[3].identity: "uri:": expected a URI after uri:',
      "settings.yml:14:5 grants[4].identity: is missing, expected an identity: NAME, dns:NAME or uri:URI",
    ],
  },
  {
    what: "a name with one protocol is served by one target, and each further one is told of the first",
    role: "private",
    text: [
      "targets:",
      '  - { names: [a.b], address: "x:1" }',
      '  - { names: [c.d, A.B.], address: "x:2" }',
      '  - { names: [a.b], alpn: [h2, h3], address: "x:3" }',
      '  - { names: [a.b], alpn: [h3], address: "x:4" }',
      '  - { names: [a.b], alpn: [http/1.1], address: "x" }',
    ].join("\n"),
    lines: [
      'settings.yml:9:20 targets[1].names[1]: "a.b" stands in targets[0].names[0] (DIR/settings.yml:8) already, allowed is once',
      'settings.yml:11:15 targets[3].names[0]: "a.b" with the protocol "h3" stands in targets[2].names[0] (DIR/settings.yml:10) already, allowed is once',
      'settings.yml:12:48 targets[4].address: "x": expected host:port, [v6]:port or unix:/path',
    ],
  },
  {
    what: "what is written in the wrong order",
    role: "private",
    whole: privateYaml.replace("mesh:\n", "mesh:\n  reconnect: { minMs: 5000, maxMs: 4000 }\n"),
    lines: ["settings.yml:3:23 mesh.reconnect.minMs: 5000 is more than mesh.reconnect.maxMs, expected at most 4000"],
  },
  {
    what: "advertised endpoints",
    whole: publicYaml.replace('"127.0.0.1:4434"', '"127.0.0.1:4434", advertise: ["unix:/x", ":0", "host", 5]'),
    lines: [
      'settings.yml:3:53 rendezvous.advertise[0]: "unix:/x": private proxies dial back over TCP, expected host:port or [v6]:port',
      'settings.yml:3:64 rendezvous.advertise[1]: ":0": port 0 cannot be dialled, expected 1-65535',
      'settings.yml:3:70 rendezvous.advertise[2]: "host": expected host:port or [v6]:port',
      "settings.yml:3:78 rendezvous.advertise[3]: expected host:port, [v6]:port or :port, found the number 5 (put it in quotes)",
    ],
  },
  {
    what: "an address is listened on once",
    whole: publicYaml.replace("4434", "4433"),
    lines: [
      "settings.yml:3:23 rendezvous.listen: 127.0.0.1:4433 is taken by tls.listen already, expected another address",
    ],
  },
  {
    what: "files that are named must be there",
    whole: publicYaml.replace("own.crt", "sub/none.crt").replace("own.key", "."),
    lines: [
      'settings.yml:6:16 mesh.certificate: "sub/none.crt": there is no such file, expected a readable file at DIR/sub/none.crt',
      'settings.yml:7:8 mesh.key: ".": this is not a file, expected a readable file at DIR',
    ],
  },
  {
    what: "a wrong secret is not shown",
    text: "admin: { token: 123456 }",
    lines: [
      "settings.yml:9:17 admin.token: expected text of 1-256 visible ASCII characters without spaces, found something else (put it in quotes)",
    ],
  },
  {
    what: "a pattern without quotes is told that it needs them",
    text: "grants: [{ identity: a, names: [*.example.com, a.example.com] }]",
    lines: [
      'settings.yml:9:33 grants[0].names[0]: YAML takes "*.example.com" for an alias, and there is no anchor of that name: put it in quotes',
    ],
  },
  {
    what: "a lone asterisk without quotes, likewise",
    text: "grants: [{ identity: a, names: [*] }]",
    lines: ["settings.yml:9:33: YAML takes an asterisk for an alias, put the text in quotes"],
  },
  {
    what: "broken YAML gives its own problem, and nothing is said to be missing",
    whole: "name: [a\ntls: 5\n",
    lines: [
      "settings.yml:2:1: this is not valid YAML: flow sequence in block collection must be sufficiently indented and end with a ]",
    ],
  },
  {
    what: "an IPv6 address without quotes",
    whole: "tls:\n  listen: [::]:4433\n",
    lines: ["settings.yml:2:15: an address that begins with [ is put in quotes"],
  },
  {
    what: "a second document, a tag, and what is no map",
    whole: "a: !x 5\n---\nb: 1\n",
    lines: [
      "settings.yml:1:4: YAML tags (!) are not allowed here, put the text in quotes",
      "settings.yml:2:1: a second document begins here, a file holds one",
    ],
  },
  {
    what: "a list is no settings file",
    whole: "- a\n",
    lines: ["settings.yml:1:1: expected a map of settings, found a list"],
  },
  {
    what: "keys are text",
    text: "1: a\ntrue: b\n[x]: c",
    lines: [
      "settings.yml:9:1: a key is text, found the number 1",
      "settings.yml:10:1: a key is text, found the boolean true",
      "settings.yml:11:1: a key is text, found something else",
    ],
  },
  {
    what: "an alias within itself, and a merge key over no map",
    text: "grants: &all [*all]\nlog: { <<: 5 }",
    lines: [
      'settings.yml:9:15 grants[0]: the alias "*all" refers to what it stands in',
      "settings.yml:10:12 log: a merge key takes a map or a list of maps, found the number 5",
    ],
  },
  {
    what: "a key with a line break is still one line",
    text: '"a\\nb\\e[31m": 1',
    lines: [`settings.yml:9:1 a\\x0ab\\x1b[31m: this key is not known, allowed are ${publicAllowed}`],
  },
];

for (const { what, role = "public", text, whole, lines } of cases) {
  test(`one line each: ${what}`, (t) => {
    const valid = role === "public" ? publicYaml : privateYaml;
    t.deepEqual(linesOf(t, role, whole ?? valid + text), lines as string[]);
  });
}

test("JSON has positions too, tabs or not", (t) => {
  const settings = {
    name: "",
    tls: { listen: "127.0.0.1:1" },
    rendezvous: { listen: "127.0.0.1:2" },
    mesh: { listen: "127.0.0.1:3", certificate: "own.crt", key: "own.key", ca: "root.crt" },
  };
  const directory = settingsDirectory(t, { "a.json": JSON.stringify(settings, null, "\t").replace('":2"', '":2') });
  t.deepEqual(linesAt(directory, join(directory, "a.json"), "public"), [
    'a.json:2:10 name: "": expected text of 1-64 characters, found 0',
  ]);
});

test("columns count from the first character also after a byte order mark and with CRLF", (t) => {
  t.deepEqual(linesOf(t, "public", `\uFEFF${publicYaml.replace("public-1", "5").replaceAll("\n", "\r\n")}`), [
    "settings.yml:1:7 name: expected text of 1-64 characters, found the number 5 (put it in quotes)",
  ]);
});

test("the problems of all files and of the environment come at once, in their order", (t) => {
  const directory = settingsDirectory(t, {
    "1.yml": publicYaml.replace("public-1", "7"),
    "2.yaml": "logg: 1\ngrants: 5\n",
    "3.json": "{",
  });
  t.deepEqual(linesAt(directory, directory, "public", { PROXY_LOG_LEVEL: "loud", PROXY_SHUTDOWN_GRACE_M: "1" }), [
    "1.yml:1:7 name: expected text of 1-64 characters, found the number 7 (put it in quotes)",
    "2.yaml:1:1 logg: this key is not known, did you mean log?",
    "2.yaml:2:9 grants: expected a list of maps with identity, names, shared, balance, found the number 5",
    "3.json:1:2: this is not valid YAML: flow map must end with a }",
    "PROXY_SHUTDOWN_GRACE_M: this variable is not known, did you mean PROXY_SHUTDOWN_GRACE_MS?",
    'PROXY_LOG_LEVEL log.level: expected one of trace, debug, info, warn, error, fatal, silent, found "loud"',
  ]);
});

test("without a settings path there is one problem, with a wrong one too", (t) => {
  const directory = settingsDirectory(t, { "empty/notes.txt": "" });
  const none = "no settings are given, expected a file or a directory here or in --settings";
  t.deepEqual(linesAt(directory, "", "public"), [`PROXY_SETTINGS: ${none}`]);
  t.deepEqual(linesAt(directory, join(directory, "none.yml"), "public"), ["none.yml: there is no such file"]);
  t.deepEqual(linesAt(directory, join(directory, "empty"), "private"), [
    "empty: this directory holds no *.yml, *.yaml or *.json",
  ]);
});

test("a file that cannot be text is one problem", (t) => {
  const directory = settingsDirectory(t, { "big.yml": "x".repeat(4 * 1024 * 1024 + 1) });
  writeFileSync(join(directory, "bytes.yml"), Buffer.of(0x61, 0xff));
  t.deepEqual(linesAt(directory, join(directory, "bytes.yml"), "public"), ["bytes.yml: the file is not UTF-8 text"]);
  t.deepEqual(linesAt(directory, join(directory, "big.yml"), "public"), [
    "big.yml: the file has 4194305 bytes, at most 4194304 are allowed",
  ]);
});

test("nesting and aliases without bounds are refused, not followed", (t) => {
  const nested = "[".repeat(20_000);
  t.deepEqual(linesOf(t, "public", nested), [
    "settings.yml: the values are nested too deeply, at most 64 levels are allowed",
  ]);
  const rows = Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(", ")}]`);
  t.deepEqual(linesOf(t, "public", ["a0: &a0 x", ...rows].join("\n")), [
    "settings.yml: the file holds more than 200000 values once its aliases are expanded",
  ]);
});
