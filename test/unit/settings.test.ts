import { join, resolve } from "node:path";
import test from "ava";
import { parse } from "yaml";
import { loadPrivateSettings, loadPublicSettings } from "../../src/settings/load.js";
import { printSettings } from "../../src/settings/print.js";
import { linesAt, linesOf, privateYaml, publicYaml, settingsDirectory, settingsOf } from "./settings-files.js";

const tcp = (host: string, port: number) => ({ kind: "tcp", host, port });

test("a public proxy's settings have every default filled in and every path absolute", (t) => {
  const directory = settingsDirectory(t, { "settings.yml": publicYaml });
  const path = join(directory, "settings.yml");
  t.deepEqual(loadPublicSettings({ path, env: {} }), {
    status: "ok",
    files: [path],
    settings: {
      name: "public-1",
      tls: {
        listen: [tcp("127.0.0.1", 4433)],
        helloTimeoutMs: 10_000,
        maxHelloBytes: 65_536,
        acceptProxyProtocol: [],
        postgres: false,
      },
      rendezvous: {
        listen: [tcp("127.0.0.1", 4434)],
        advertise: [],
        prefaceTimeoutMs: 5000,
        attemptTimeoutMs: 3000,
        deadlineMs: 10_000,
        pooledWaitMs: 0,
        startupHoldMs: 3000,
      },
      mesh: {
        listen: [tcp("127.0.0.1", 4435)],
        certificate: join(directory, "own.crt"),
        key: join(directory, "own.key"),
        ca: join(directory, "root.crt"),
        keepalive: { intervalMs: 5000, timeoutMs: 5000 },
      },
      grants: [],
      limits: { connections: 10_000, parked: 10_000, pooledPerPrivateProxy: 256, halfOpenHellos: 4096 },
      admin: {},
      splice: { idleTimeoutMs: 3_600_000, halfClosedTimeoutMs: 60_000 },
      shutdown: { graceMs: 30_000 },
      transport: { engine: "auto", workers: 0, maxPipes: 256 },
      state: {},
      log: { level: "info", format: "auto", connections: true },
    },
  } as never);
});

test("a private proxy's settings likewise, its targets too", (t) => {
  const directory = settingsDirectory(t, {
    "settings.yml": `${privateYaml}targets: [{ names: [A.Example.COM.], address: "unix:./app.sock" }]\nadmin: { socket: run/admin.sock }\n`,
  });
  const result = loadPrivateSettings({ path: join(directory, "settings.yml"), env: {} });
  t.deepEqual(result.status === "ok" ? result.settings : result.problems, {
    name: "private-1",
    mesh: {
      publics: [tcp("127.0.0.1", 4435)],
      serverName: "",
      certificate: join(directory, "own.crt"),
      key: join(directory, "own.key"),
      ca: join(directory, "root.crt"),
      rendezvous: [],
      reconnect: { minMs: 100, maxMs: 2000 },
      keepalive: { intervalMs: 5000, timeoutMs: 5000 },
    },
    targets: [
      {
        names: ["a.example.com"],
        alpn: [],
        address: { kind: "unix", path: join(directory, "app.sock") },
        addresses: [],
        balance: "least-connections",
        weight: 1,
        priority: 0,
        proxyProtocol: "none",
        startTls: "none",
        connectTimeoutMs: 3000,
        queue: { max: 1024, timeoutMs: 5000 },
      },
    ],
    pool: { minIdle: 0, maxIdle: 8, max: 64, maxAgeMs: 300_000 },
    admin: { socket: join(directory, "run/admin.sock") },
    splice: { idleTimeoutMs: 3_600_000, halfClosedTimeoutMs: 60_000 },
    shutdown: { graceMs: 30_000 },
    transport: { engine: "auto", workers: 0, maxPipes: 256 },
    state: {},
    log: { level: "info", format: "auto", connections: true },
  } as never);
});

test("a target's addresses stand in address, in addresses or in both, at least one and none twice", (t) => {
  const of = (text: string) => linesOf(t, "private", `${privateYaml}targets:\n  - { names: [a], ${text} }\n`);
  t.deepEqual(of('addresses: ["h:1", "unix:/run/x"]'), []);
  t.deepEqual(of('address: "h:1", addresses: ["h:2"]'), []);
  const none = "settings.yml:8:5 targets[0]: has no address of an internal server, expected address, addresses or both";
  t.deepEqual(of("weight: 2"), [none]);
  t.deepEqual(of("addresses: []"), [none]);
  t.deepEqual(of('address: "h:1", addresses: ["h:2", "H:1", "h:2"]'), [
    'settings.yml:8:54 targets[0].addresses[1]: "h:1" stands in targets[0].address already, allowed is once',
    'settings.yml:8:61 targets[0].addresses[2]: "h:2" stands in targets[0].addresses[0] already, allowed is once',
  ]);
  // One that cannot be read is one problem, not two.
  t.deepEqual(of('addresses: ["h"]'), [
    'settings.yml:8:31 targets[0].addresses[0]: "h": expected host:port, [v6]:port or unix:/path',
  ]);
});

test("weight, priority and balance of a target have their bounds", (t) => {
  const of = (text: string) =>
    linesOf(t, "private", `${privateYaml}targets:\n  - { names: [a], address: "h:1", ${text} }\n`);
  t.deepEqual(of("weight: 1000, priority: 1000, balance: source-ip"), []);
  t.deepEqual(of("weight: 0, priority: -1, balance: fastest"), [
    "settings.yml:8:43 targets[0].weight: expected an integer in 1-1000, found the number 0",
    "settings.yml:8:56 targets[0].priority: expected an integer in 0-1000, found the number -1",
    'settings.yml:8:69 targets[0].balance: expected one of least-connections, round-robin, random-two, source-ip, found "fastest"',
  ]);
});

test("a health check has defaults for all it says, and leaving it out means that there is none", (t) => {
  const text = (healthCheck: string) => `${privateYaml}targets:\n  - { names: [a], address: "h:1"${healthCheck} }\n`;
  const of = (healthCheck: string) => settingsOf(t, "private", text(healthCheck)).targets[0]!;
  t.false("healthCheck" in of(""));
  const defaults = { intervalMs: 5000, timeoutMs: 2000, rise: 2, fall: 3 };
  t.deepEqual(of(", healthCheck: {}").healthCheck, { type: "tcp", ...defaults });
  t.deepEqual(of(", healthCheck: { type: tls, fall: 1 }").healthCheck, { type: "tls", ...defaults, fall: 1 });
  t.deepEqual(linesOf(t, "private", text(", healthCheck: { rise: 0, kind: tcp }")), [
    "settings.yml:8:56 targets[0].healthCheck.rise: expected an integer in 1-100, found the number 0",
    "settings.yml:8:59 targets[0].healthCheck.kind: this key is not known, allowed are type, intervalMs, timeoutMs, rise, fall",
  ]);
});

test("the settings of the demo are in order", (t) => {
  const roles = { public: loadPublicSettings, private: loadPrivateSettings };
  for (const [role, load] of Object.entries(roles)) {
    const path = resolve(import.meta.dirname, `../../../settings/dev/roles/${role}-proxy-1`);
    // On a fresh checkout there are no certificates yet.
    const result = load({ path, env: {}, checkFiles: false });
    t.is(result.status === "ok" ? result.settings.name : result.problems, `${role}-proxy-1`);
  }
});

test("every listen takes one address or a list", (t) => {
  const both = (text: string) => publicYaml.replace('"127.0.0.1:4433"', text);
  const addresses = [tcp("0.0.0.0", 1), tcp("::", 2), { kind: "unix", path: "/run/tls.sock" }];
  const several = settingsOf(t, "public", both('["0.0.0.0:1", "[::]:2", unix:/run/tls.sock]'));
  t.deepEqual(several.tls.listen, addresses as never);
  t.deepEqual(settingsOf(t, "public", both("unix:/run/tls.sock")).tls.listen, [addresses[2]] as never);
  const adminOf = (text: string) => settingsOf(t, "public", `${publicYaml}admin: { listen: ${text} }`).admin;
  t.deepEqual(adminOf('"127.0.0.1:9"'), { listen: [tcp("127.0.0.1", 9)] } as never);
  t.deepEqual(adminOf('["127.0.0.1:9", "[::1]:9"]'), { listen: [tcp("127.0.0.1", 9), tcp("::1", 9)] } as never);
  t.deepEqual(linesOf(t, "public", `${publicYaml}admin: { listen: ["127.0.0.1:9", "unix:/run/admin.sock"] }`), [
    'settings.yml:9:34 admin.listen[1]: "unix:/run/admin.sock": a unix socket is given as admin.socket, expected host:port or [v6]:port',
  ]);
});

test("port 0 may be listened on many times", (t) => {
  t.deepEqual(linesOf(t, "public", publicYaml.replace(/:443\d/g, ":0")), []);
});

test("the environment wins over files, in every kind of value", (t) => {
  const env = {
    PROXY_NAME: "from-environment",
    PROXY_TLS_LISTEN: "127.0.0.1:1, [::1]:2",
    PROXY_RENDEZVOUS_ADVERTISE: "",
    PROXY_MESH_CERTIFICATE: "own.crt",
    PROXY_SHUTDOWN_GRACE_MS: " 0 ",
    PROXY_LOG_CONNECTIONS: "false",
    PROXY_LOG_LEVEL: "debug",
    PROXY_ADMIN_LISTEN: "127.0.0.1:3",
    PROXY_ADMIN_TOKEN: "12345678",
    PROXY_LOG_FILE: "x.log",
  };
  const text = `${publicYaml.replace('"127.0.0.1:4434"', '"127.0.0.1:4434", advertise: ["a:1"]')}shutdown: { graceMs: 7 }\n`;
  const path = join(settingsDirectory(t, { "settings.yml": text }), "settings.yml");
  const result = loadPublicSettings({ path, env, checkFiles: false });
  if (result.status === "invalid") return t.fail(JSON.stringify(result.problems));
  const { settings } = result;
  t.is(settings.name, "from-environment");
  t.deepEqual(settings.tls.listen, [tcp("127.0.0.1", 1), tcp("::1", 2)] as never);
  t.deepEqual(settings.rendezvous.advertise, []);
  t.is(settings.mesh.certificate, resolve("own.crt"), "relative to the working directory, not to the file");
  t.is(settings.mesh.key, join(path, "../own.key"));
  t.is(settings.shutdown.graceMs, 0);
  t.deepEqual(settings.log, { level: "debug", format: "auto", file: resolve("x.log"), connections: false });
  t.deepEqual(settings.admin, { listen: [tcp("127.0.0.1", 3)], token: "12345678" } as never);
});

test("the environment can hold what no file does", (t) => {
  const text = publicYaml.replace("  ca: root.crt\n", "");
  const path = join(settingsDirectory(t, { "settings.yml": text }), "settings.yml");
  t.is(loadPublicSettings({ path, env: { PROXY_MESH_CA: join(path, "../root.crt") } }).status, "ok");
});

test("the settings path comes from the caller, else from PROXY_SETTINGS", (t) => {
  const directory = settingsDirectory(t, { "a.yml": publicYaml, "b.yml": publicYaml.replace("public-1", "other") });
  const env = { PROXY_SETTINGS: join(directory, "b.yml") };
  const names = [{ env }, { env, path: join(directory, "a.yml") }].map((options) => {
    const result = loadPublicSettings(options);
    return result.status === "ok" && result.settings.name;
  });
  t.deepEqual(names, ["other", "public-1"]);
});

test("wrong variables are problems that name the variable", (t) => {
  const env = {
    PROXY_SHUTDOWN_GRACE_MS: "soon",
    PROXY_LOG_CONNECTIONS: "1",
    PROXY_TLS_LISTEN: "127.0.0.1:1,,x",
    PROXY_GRANTS: "a=b",
    PROXY_TLS_HELO_TIMEOUT_MS: "5",
    // Of another role, of another program, of the command line: none of them a slip.
    PROXY_MESH_PUBLICS: "x",
    PROXY_PORT: "5",
    PROXY_URL: "http://proxy",
    PROXY_SETTINGS: "elsewhere",
    NAME: "x",
  };
  t.deepEqual(linesOf(t, "public", publicYaml, env), [
    "PROXY_GRANTS grants: a list of maps has no environment form, it is written in a file",
    "PROXY_TLS_HELO_TIMEOUT_MS: this variable is not known, did you mean PROXY_TLS_HELLO_TIMEOUT_MS?",
    'PROXY_TLS_LISTEN tls.listen[1]: "": expected host:port, [v6]:port or unix:/path',
    'PROXY_TLS_LISTEN tls.listen[2]: "x": expected host:port, [v6]:port or unix:/path',
    'PROXY_SHUTDOWN_GRACE_MS shutdown.graceMs: expected an integer in 0-2147483647, found "soon"',
    'PROXY_LOG_CONNECTIONS log.connections: expected true or false, found "1"',
  ]);
  t.deepEqual(linesOf(t, "private", privateYaml, { PROXY_ADMIN_LISTEN: "127.0.0.1:1" }), [
    "PROXY_ADMIN_LISTEN admin.listen: a private proxy opens no TCP port, use admin.socket instead",
  ]);
});

test("a directory is its files in name order: maps merge, grants are joined, other lists replaced", (t) => {
  const directory = settingsDirectory(t, {
    "conf/10.yml": `${publicYaml.replace("own.crt", "../own.crt").replace("own.key", "../own.key").replace("root.crt", "../root.crt")}grants: [{ identity: a, names: [a] }]\n`,
    "conf/20.json":
      '{"tls": {"listen": ["127.0.0.1:7"]}, "grants": [{"identity": "b", "names": ["b"], "shared": true}]}',
    "conf/30.yaml": "shutdown: { graceMs: 5 }\nadmin:\ngrants: []\n",
    "conf/.hidden.yml": "broken: [",
    "conf/40.yml.bak": "broken: [",
  });
  const path = join(directory, "conf");
  const result = loadPublicSettings({ path, env: {} });
  if (result.status === "invalid") return t.fail(JSON.stringify(result.problems));
  const { settings, files } = result;
  t.deepEqual(
    files,
    ["10.yml", "20.json", "30.yaml"].map((name) => join(path, name)),
  );
  t.deepEqual(settings.tls, {
    listen: [tcp("127.0.0.1", 7)],
    helloTimeoutMs: 10_000,
    maxHelloBytes: 65_536,
    acceptProxyProtocol: [],
    postgres: false,
  } as never);
  t.is(settings.shutdown.graceMs, 5);
  t.deepEqual(settings.grants, [
    { identity: "a", names: ["a"], shared: false, balance: "least-connections" },
    { identity: "b", names: ["b"], shared: true, balance: "least-connections" },
  ]);
});

test("each file of a directory keeps its own positions, also in joined lists", (t) => {
  const directory = settingsDirectory(t, {
    "1.yml": `${privateYaml}targets: [{ names: [a], address: "h:1" }]\n`,
    "2.yml": 'targets:\n  - { names: [a, b], address: "h:2" }\n  - { names: [c], address: "h" }\n',
  });
  t.deepEqual(linesAt(directory, directory, "private"), [
    '2.yml:2:15 targets[0].names[0]: "a" stands in targets[0].names[0] (DIR/1.yml:7) already, allowed is once',
    '2.yml:3:28 targets[1].address: "h": expected host:port, [v6]:port or unix:/path',
  ]);
});

test("a value that a later file replaces is not looked at", (t) => {
  const directory = settingsDirectory(t, {
    "1.yml": publicYaml.replace("own.crt", "missing.crt"),
    "2.yml": "mesh: { certificate: own.crt }",
  });
  t.deepEqual(linesAt(directory, directory, "public"), []);
});

test("anchors, aliases and merge keys are expanded, and what is written wins over what is merged", (t) => {
  const text = `${privateYaml}targets:
  - &first { names: [a], address: "h:1", connectTimeoutMs: 5, alpn: [h2] }
  - { <<: *first, names: [b] }
  - { names: [c], <<: [{ alpn: [x] }, *first] }
`;
  const { targets } = settingsOf(t, "private", text);
  t.deepEqual(
    targets.map(({ names, connectTimeoutMs, alpn }) => [...names, connectTimeoutMs, ...alpn]),
    [
      ["a", 5, "h2"],
      ["b", 5, "h2"],
      ["c", 5, "x"],
    ],
  );
});

test("a default gives way to what is written beside it", (t) => {
  const mesh = (reconnect: string) => privateYaml.replace("mesh:\n", `mesh:\n  reconnect: ${reconnect}\n`);
  t.deepEqual(settingsOf(t, "private", mesh("{ minMs: 9000 }")).mesh.reconnect, { minMs: 9000, maxMs: 9000 });
  t.deepEqual(settingsOf(t, "private", mesh("{ maxMs: 50 }")).mesh.reconnect, { minMs: 50, maxMs: 50 });
  const { rendezvous } = settingsOf(t, "public", publicYaml, { PROXY_RENDEZVOUS_DEADLINE_MS: "500" });
  t.is(rendezvous.attemptTimeoutMs, 500);
  const pool = (text: string) => {
    const { minIdle, maxIdle, max } = settingsOf(t, "private", `${privateYaml}pool: ${text}\n`).pool;
    return [minIdle, maxIdle, max];
  };
  t.deepEqual(pool("{ minIdle: 20 }"), [20, 20, 64]);
  t.deepEqual(pool("{ minIdle: 100 }"), [100, 100, 100]);
  t.deepEqual(pool("{ maxIdle: 100 }"), [0, 100, 100]);
  t.deepEqual(pool("{ max: 4 }"), [0, 4, 4]);
  t.deepEqual(pool("{ minIdle: 10, max: 20 }"), [10, 10, 20]);
});

test("what is printed loads as the same settings, and holds no secret", (t) => {
  const secret = "correct-horse-battery-staple";
  const publicText = `${publicYaml}admin: { listen: "[::1]:9", token: ${secret}, socket: admin.sock }\ngrants: [{ identity: "uri:spiffe://x/**", names: ["**.a", "*"] }]\n`;
  const settings = settingsOf(t, "public", publicText);
  const printed = printSettings(settings);
  t.is(settings.admin.token, secret);
  t.false(printed.includes(secret));
  t.is(parse(printed).admin.token, "[redacted]");
  t.deepEqual(settingsOf(t, "public", printed.replace('"[redacted]"', secret)), settings);

  const privateText = `${privateYaml}targets: [{ names: ["*"], address: unix:/run/x.sock, proxyProtocol: v2, alpn: ["on"] }]\n`;
  const privateSettings = settingsOf(t, "private", privateText);
  t.deepEqual(settingsOf(t, "private", printSettings(privateSettings)), privateSettings);
});

test("an admin address that other machines can reach needs a token, but not to be found by a command", (t) => {
  const text = `${publicYaml}admin: { listen: ["127.0.0.1:9", "0.0.0.0:8", "[::1]:7", "edge.example.com:6"] }`;
  const problem = "can be reached from other machines, expected a loopback address, or admin.token beside it";
  t.deepEqual(linesOf(t, "public", text), [
    `settings.yml:9:34 admin.listen[1]: 0.0.0.0:8 ${problem}`,
    `settings.yml:9:58 admin.listen[3]: edge.example.com:6 ${problem}`,
  ]);
  t.deepEqual(linesOf(t, "public", text, { PROXY_ADMIN_TOKEN: "secret" }), []);
  const path = join(settingsDirectory(t, { "settings.yml": text }), "settings.yml");
  t.is(loadPublicSettings({ path, env: {}, checkFiles: false }).status, "ok");
});
