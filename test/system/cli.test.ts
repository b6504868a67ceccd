import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import test, { type ExecutionContext } from "ava";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { alertErrors, ask, tlsClient, tlsError } from "../harness/clients.js";
import { echoServer, tlsServer } from "../harness/internal-server.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { freePorts, ready, runCommand, runProxyProcess } from "../harness/processes.js";

// The command line as its users meet it: real processes, their output, their exit status.

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

function directory(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), "proxy-cli-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

/** A settings file that no process has read yet. */
function settingsFile(t: ExecutionContext, settings: object): string {
  const path = join(directory(t), "settings.json");
  writeFileSync(path, JSON.stringify(settings));
  return path;
}

const granted = [{ identity: "private-proxy-1", names: [serverName] }];

function publicSettings(changes: object = {}): object {
  return {
    name: "public-proxy-1",
    tls: { listen: "127.0.0.1:0" },
    rendezvous: { listen: "127.0.0.1:0", startupHoldMs: 0 },
    mesh: { listen: "127.0.0.1:0", ...certificates.files("public-proxy-1") },
    grants: granted,
    ...changes,
  };
}

function privateSettings(mesh: string, port: number, changes: object = {}): object {
  return {
    name: "private-proxy-1",
    mesh: { publics: [mesh], ...certificates.files("private-proxy-1") },
    targets: [{ names: [serverName], address: `127.0.0.1:${port}` }],
    ...changes,
  };
}

type Listening = Readonly<Record<"tls" | "mesh" | "admin", readonly string[]>>;
const portOf = (text: string | undefined) => Number(text?.split(":").pop());

/** Both proxies as processes, with a socket each; the public one has an address with a token besides. */
async function startPair(t: ExecutionContext, port: number) {
  const dir = directory(t);
  const [adminPort] = await freePorts(1);
  const admin = { listen: `127.0.0.1:${adminPort}`, token: "s3cret" };
  const publicProxy = runProxyProcess(t, "public", publicSettings({ admin }));
  const { listening } = (await ready(publicProxy)) as { listening: Listening };
  const socket = join(dir, "private.sock");
  const privateProxy = runProxyProcess(t, "private", privateSettings(listening.mesh[0]!, port, { admin: { socket } }));
  await privateProxy.line(({ msg }) => msg === "name announced");
  return { publicProxy, privateProxy, clientPort: portOf(listening.tls[0]), adminPort, socket };
}

function change(path: string, changes: object): void {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...changes }));
}

test("proxy status finds a proxy of either role however it is told where", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const { publicProxy, privateProxy, clientPort, adminPort, socket } = await startPair(t, server.port);
  const client = await tlsClient(clientPort, certificates);
  t.teardown(() => void client.destroy());
  t.is(await ask(client, "live"), "live");

  const ways = {
    public: [
      await runCommand(["status", "--settings", publicProxy.settingsPath]),
      await runCommand(["status"], { PROXY_SETTINGS: publicProxy.settingsPath }),
      await runCommand(["status", "--admin", `http://127.0.0.1:${adminPort}`]),
      await runCommand(["status", "--admin", `localhost:${adminPort}`]),
    ],
    private: [
      await runCommand(["status", "--settings", privateProxy.settingsPath], { PROXY_ADMIN_TOKEN: "of a public one" }),
      await runCommand(["status", "--admin", socket]),
    ],
  };
  for (const [role, outcomes] of Object.entries(ways)) {
    for (const { status, out, error } of outcomes) {
      t.deepEqual({ status, error }, { status: 0, error: "" });
      t.regex(out, new RegExp(`^${role}-proxy-1  ${role} proxy, ready, version \\S+, since \\S+\\n`));
      t.regex(out, /\n {2}connections: 1 live, 1 opened, 0 closed; \d+ bytes up, \d+ down\n/);
      t.regex(out, new RegExp(`\nattachments: 1\n[^]*\nannouncements: 1\n[^]* ${serverName} `));
    }
  }
  for (const { out } of ways.private) {
    t.regex(
      out,
      new RegExp(`\\ntargets: 1\\n[^]*\\n {2}${serverName} +127\\.0\\.0\\.1:${server.port} +unchecked +1 +- +-\\n`),
    );
  }
  const json = await runCommand(["status", "--json", "--settings", publicProxy.settingsPath]);
  const keys = ["version", "role", "name", "ready", "attachments", "announcements", "connections", "refused"];
  t.deepEqual(Object.keys(JSON.parse(json.out)).slice(0, keys.length), keys);
});

test("where no proxy runs, status and reload say so in one line", async (t) => {
  const dir = directory(t);
  const [port] = await freePorts(1);
  const socket = join(dir, "none.sock");
  const settings = settingsFile(t, privateSettings("127.0.0.1:1", 1, { admin: { socket } }));
  for (const command of ["status", "reload"]) {
    t.deepEqual(await runCommand([command, "--settings", settings]), {
      status: 1,
      out: "",
      error: `no proxy answers at unix:${socket}: there is no such socket\n`,
    });
  }
  t.deepEqual(await runCommand(["status", "--admin", `http://localhost:${port}`]), {
    status: 1,
    out: "",
    error: `no proxy answers at localhost:${port}: nobody listens there\n`,
  });
});

test("what answers but is no proxy is not taken for one", async (t) => {
  const listening = async (server: Server) => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.teardown(() => void server.close());
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const banner = await listening(createServer((socket) => socket.resume().end("220 smtp.example.com\r\n")));
  const page = await listening(createHttpServer((_, response) => response.end("<html>")));
  const cut = await listening(
    createHttpServer((_, response) => {
      response.writeHead(200, { "content-length": 100 });
      response.write('{"version":1');
      response.socket?.end();
    }),
  );
  const line = async (admin: string) => {
    const { status, out, error } = await runCommand(["status", "--admin", admin]);
    t.like({ status, out }, { status: 1, out: "" });
    return error.replace(admin, "AT");
  };
  t.is(await line(banner), "no proxy answers at AT: what listens there does not speak HTTP\n");
  t.is(await line(page), "what answers at AT is no proxy's admin endpoint\n");
  t.is(await line(cut), "no proxy answers at AT: the connection was cut\n");
});

test("status needs no key that only the proxy may read, and says when the settings open no endpoint", async (t) => {
  const files = { certificate: "/nonexistent.crt", key: "/nonexistent.key", ca: "/nonexistent.crt" };
  const socket = join(directory(t), "none.sock");
  const mesh = { publics: ["127.0.0.1:1"], ...files };
  const closed = settingsFile(t, { name: "a", mesh });
  const found = settingsFile(t, { name: "a", mesh, admin: { socket } });
  t.like(await runCommand(["status", "--settings", found]), { status: 1 });
  const outcome = await runCommand(["status", "--settings", closed]);
  t.is(outcome.status, 78);
  t.is(outcome.error, "these settings open no admin endpoint: set admin.socket, or name the endpoint with --admin\n");
});

test("a reload changes what is granted and where names lead, names what needs a restart, and cuts no connection", async (t) => {
  const before = await echoServer(certificates);
  const after = await tlsServer(certificates, (socket) => socket.on("data", (data) => socket.write(`new ${data}`)));
  t.teardown(() => Promise.all([before.close(), after.close()]));
  const { publicProxy, privateProxy, clientPort, adminPort } = await startPair(t, before.port);
  const client = await tlsClient(clientPort, certificates);
  t.teardown(() => void client.destroy());
  t.is(await ask(client, "one"), "one");

  // The target: on the private proxy, by its socket.
  const target = { names: [serverName], address: `127.0.0.1:${after.port}` };
  change(privateProxy.settingsPath, { targets: [target], name: "renamed" });
  const needsRestart = {
    status: 0,
    out: "settings reloaded\nneeds a restart to take effect: name\n",
    error: "",
  };
  t.deepEqual(await runCommand(["reload", "--settings", privateProxy.settingsPath]), needsRestart);
  await privateProxy.line(() => privateProxy.lines.filter(({ msg }) => msg === "name announced").length === 2);
  const moved = await tlsClient(clientPort, certificates);
  moved.write("two");
  t.is(await new Promise((resolve) => moved.once("data", (data) => resolve(data.toString()))), "new two");
  moved.destroy();
  t.is(await ask(client, "still one"), "still one");
  // The name is not in force, and is not forgotten by a second reload.
  t.deepEqual(await runCommand(["reload", "--settings", privateProxy.settingsPath]), needsRestart);
  t.regex((await runCommand(["status", "--settings", privateProxy.settingsPath])).out, /^private-proxy-1 /);

  // The grant: on the public proxy, by its address; only with the token.
  change(publicProxy.settingsPath, { grants: [] });
  const refused = await runCommand(["reload", "--admin", `http://127.0.0.1:${adminPort}`]);
  t.like(refused, { status: 1, out: "" });
  t.regex(refused.error, /^this needs the admin token [^\n]*\n$/);
  const env = { PROXY_ADMIN_TOKEN: "s3cret" };
  t.like(await runCommand(["reload", "--admin", `http://127.0.0.1:${adminPort}`], env), {
    status: 0,
    out: "settings reloaded\n",
  });
  t.is(await tlsError(clientPort, certificates), alertErrors.unrecognizedName);
  t.is(await ask(client, "and still"), "and still");

  // And back, by SIGHUP.
  change(publicProxy.settingsPath, { grants: granted });
  publicProxy.kill("SIGHUP");
  await publicProxy.line(() => publicProxy.lines.filter(({ msg }) => msg === "name announced").length === 3);
  (await tlsClient(clientPort, certificates)).destroy();
});

test("broken settings change nothing, and the command says why", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const { publicProxy, clientPort } = await startPair(t, server.port);
  const { settingsPath } = publicProxy;
  const good = readFileSync(settingsPath, "utf8");
  // The command reads them, too, to find the proxy; where only a key is missing, the proxy is who notices.
  change(settingsPath, { grants: [], mesh: { listen: "127.0.0.1:0", ...certificates.files("missing") } });
  const refused = await runCommand(["reload", "--settings", settingsPath]);
  t.like(refused, { status: 1, out: "" });
  t.regex(refused.error, /^the settings were not reloaded:\n.* mesh\.certificate: .*\n.* mesh\.key: .*\n$/);

  writeFileSync(settingsPath, good.replace('"grants"', '"grant"'));
  const invalid = await runCommand(["reload", "--settings", settingsPath]);
  t.is(invalid.status, 78);
  t.regex(invalid.error, /^\S+:1:\d+ grant: this key is not known, did you mean grants\?\n$/);
  publicProxy.kill("SIGHUP");
  const isRefusal = ({ problems }: Record<string, unknown>) => JSON.stringify(problems ?? "").includes("did you mean");
  t.is((await publicProxy.line(isRefusal)).msg, "the settings were not reloaded: nothing has changed");
  (await tlsClient(clientPort, certificates)).destroy();
});

test("settings check gives every problem a line and 78, and settings print shows no secret", async (t) => {
  const bad = settingsFile(t, { ...publicSettings({ splices: {}, limits: { parked: 0 } }), tls: {} });
  const checked = await runCommand(["settings", "check", "public", "--settings", bad]);
  t.like(checked, { status: 78, out: "" });
  t.is(checked.error.split("\n").length, 4, checked.error);
  for (const line of checked.error.trimEnd().split("\n")) t.regex(line, /^\S+settings\.json:1:\d+ [a-zA-Z.]+: /);
  t.like(await runCommand(["run", "public"], { PROXY_SETTINGS: bad }), { status: 78, error: checked.error });

  const good = settingsFile(t, publicSettings({ admin: { listen: "127.0.0.1:0", token: "s3cret" } }));
  t.deepEqual(await runCommand(["settings", "check", "public"], { PROXY_SETTINGS: good }), {
    status: 0,
    out: `${good}: good settings for a public proxy\n`,
    error: "",
  });
  const printed = await runCommand(["settings", "print", "public", "-s", good]);
  t.is(printed.status, 0);
  t.false(printed.out.includes("s3cret"));
  t.regex(printed.out, /\n {2}token: "\[redacted\]"\n/);
  t.regex(printed.out, /\n {2}graceMs: 30000\n/);
  t.like(await runCommand(["settings", "check", "public"]), { status: 78 });
});

test("files that cannot serve the mesh are settings problems, not a crash", async (t) => {
  const garbage = join(directory(t), "garbage.pem");
  writeFileSync(garbage, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  const own = certificates.files("public-proxy-1");
  const other = certificates.files("private-proxy-1");
  const problemsOf = async (role: "public" | "private", files: object) => {
    const settings = role === "public" ? publicSettings() : privateSettings("127.0.0.1:1", 1);
    const path = settingsFile(t, { ...settings, mesh: { ...(settings as { mesh: object }).mesh, ...files } });
    const { status, error } = await runCommand(["run", role, "--settings", path]);
    t.is(status, 78, error);
    return error.replaceAll(certificates.dir, "DIR").replaceAll(garbage, "GARBAGE");
  };
  t.is(
    await problemsOf("public", { ...own, key: other.key }),
    "DIR/private-proxy-1.key mesh.key: this is not the key of the certificate in DIR/public-proxy-1.crt\n",
  );
  t.is(
    await problemsOf("public", other),
    "DIR/private-proxy-1.crt mesh.certificate: this is not a public proxy's certificate: its extended key usage has no serverAuth\n",
  );
  t.is(
    await problemsOf("private", own),
    "DIR/public-proxy-1.crt mesh.certificate: this is not a private proxy's certificate: its extended key usage has no clientAuth\n",
  );
  t.regex(
    await problemsOf("public", { certificate: own.key, key: own.certificate, ca: garbage }),
    /^DIR\S+\.key mesh\.certificate: this file holds no PEM certificate\nDIR\S+\.crt mesh\.key: this file holds no PEM private key\nGARBAGE mesh\.ca: a certificate in this file cannot be read \(.*\)\n$/,
  );
  t.regex(await problemsOf("public", certificates.files("missing")), /^.* mesh\.certificate: .*no such file.*\n/);
});

test("an address in use is one line with its key, and exit status 1", async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  t.teardown(() => void taken.close());
  const at = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
  const mesh = (publicSettings() as { mesh: object }).mesh;
  const places = {
    "tls.listen": { tls: { listen: ["127.0.0.1:0", at] } },
    "rendezvous.listen": { rendezvous: { listen: at } },
    "mesh.listen": { mesh: { ...mesh, listen: at } },
    "admin.listen": { admin: { listen: ["127.0.0.1:0", at] } },
  };
  for (const [key, changes] of Object.entries(places)) {
    t.deepEqual(await runCommand(["run", "public", "--settings", settingsFile(t, publicSettings(changes))]), {
      status: 1,
      out: "",
      error: `proxy run public: ${key} ${at}: another process listens there already\n`,
    });
  }
  const file = join(directory(t), "proxy.log");
  const logged = publicSettings({ ...places["mesh.listen"], log: { file } });
  t.is((await runCommand(["run", "public", "--settings", settingsFile(t, logged)])).status, 1);
  t.regex(readFileSync(file, "utf8"), /"reason":"address_in_use","msg":"mesh\.listen [^"]*already"}\n$/);
  const nowhere = settingsFile(t, publicSettings({ log: { file: certificates.dir } }));
  const outcome = await runCommand(["run", "public", "--settings", nowhere]);
  t.is(outcome.status, 78);
  t.regex(outcome.error, /^proxy run public: log\.file \S+: it cannot be written \([^\n]*\)\n$/);
});

test("a private proxy whose socket another process serves does not start", async (t) => {
  const socket = join(directory(t), "taken.sock");
  const taken = createServer((probe) => probe.destroy());
  await new Promise<void>((resolve) => taken.listen(socket, resolve));
  t.teardown(() => void taken.close());
  const settings = settingsFile(t, privateSettings("127.0.0.1:1", 1, { admin: { socket } }));
  const outcome = await runCommand(["run", "private", "--settings", settings]);
  t.like(outcome, { status: 1, error: `proxy run private: admin.socket ${socket}: another process answers there\n` });
});

test("wrong usage is told apart from everything else by exit status 2", async (t) => {
  const wrong = [
    [],
    ["frobnicate"],
    ["run"],
    ["run", "both"],
    ["run", "public", "extra"],
    ["run", "public", "--frobnicate"],
    ["settings"],
    ["settings", "check"],
    ["status", "--admin", ""],
    ["status", "--admin", "https://127.0.0.1:1"],
    ["status", "--admin", "http://127.0.0.1:99999"],
    ["reload", "--settings"],
  ];
  const outcomes = await Promise.all(wrong.map((args) => runCommand(args)));
  outcomes.forEach(({ status, out, error }, at) => {
    t.like({ status, out }, { status: 2, out: "" }, wrong[at]!.join(" "));
    t.regex(error, /^(error: |Usage: )/);
  });
});

test("every command explains itself, and version prints one", async (t) => {
  const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
  for (const args of [["version"], ["--version"]]) {
    t.deepEqual(await runCommand(args), { status: 0, out: `${version}\n`, error: "" });
  }
  const commands = {
    "": ["run", "settings", "status", "reload", "certs", "version", "Exit status: 0 done, 1 failed, 2"],
    run: ["--settings", "PROXY_SETTINGS", "SIGTERM", "SIGHUP"],
    "settings check": ["FILE:LINE:COLUMN", "--settings"],
    "settings print": ["redacted", "--settings"],
    status: ["--admin", "--json", "PROXY_ADMIN_TOKEN", "Examples:"],
    reload: ["--admin", "restart", "PROXY_ADMIN_TOKEN"],
    certs: ["init", "issue"],
    "certs issue": ["--role", "Examples:"],
  };
  const helps = Object.entries(commands).map(async ([command, words]) => {
    const { status, out } = await runCommand([...command.split(" ").filter(Boolean), "--help"]);
    t.is(status, 0);
    for (const word of words) t.true(out.includes(word), `${command} --help does not speak of ${word}`);
  });
  await Promise.all(helps);
});

test("proxies end in order on a signal, and a second one ends them at once", async (t) => {
  const server = await echoServer(certificates);
  t.teardown(() => server.close());
  const { publicProxy, privateProxy, clientPort } = await startPair(t, server.port);
  const client = await tlsClient(clientPort, certificates);
  t.teardown(() => void client.destroy());
  t.is(await ask(client, "live"), "live");

  publicProxy.kill("SIGINT");
  await publicProxy.line(({ msg }) => msg === "public proxy is stopping");
  t.is(await ask(client, "finishing"), "finishing");
  publicProxy.kill("SIGTERM");
  t.is(await publicProxy.exited, 0);
  privateProxy.kill("SIGTERM");
  t.is(await privateProxy.exited, 0);
  t.is(privateProxy.printed + publicProxy.printed, "");
});

test("signals that come while a proxy starts are obeyed once it has started", async (t) => {
  const run = new URL("../../src/cli/run.js", import.meta.url).href;
  const script = `
    const { runProxy } = await import(${JSON.stringify(run)});
    const ended = runProxy("public", { settings: process.argv[1] });
    process.kill(process.pid, "SIGHUP");
    process.kill(process.pid, "SIGTERM");
    process.exit(await ended);
  `;
  const args = ["--input-type=module", "-e", script, settingsFile(t, publicSettings())];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const [out, [status]] = await Promise.all([text(child.stdout), once(child, "close")]);
  t.is(status, 0);
  const messages = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).msg);
  t.true(messages.includes("public proxy is ready"));
  t.true(messages.indexOf("settings reloaded") > messages.indexOf("public proxy is ready"));
  t.is(messages.at(-1), "public proxy has stopped");
});
