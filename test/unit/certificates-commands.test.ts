import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { CommanderError } from "commander";
import { issueCertificate } from "../../src/certificates/issue.js";
import { certsCommand } from "../../src/cli/certs.js";

const built = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const commandLine = `
  import { certsCommand } from ${JSON.stringify(new URL("../../src/cli/certs.js", import.meta.url).href)};
  await certsCommand().parseAsync(process.argv.slice(1), { from: "user" });
`;

async function directory(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "certificates-"));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
}

async function run(...args: string[]): Promise<{ status: number; out: string; error: string }> {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const [out, error, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { status, out, error };
}

const certs = (...args: string[]) => run("--input-type=module", "-e", commandLine, "--", ...args);

/** The code of commander's error about an argument list that must not get as far as an action. */
async function usageError(t: ExecutionContext, ...args: string[]): Promise<string | undefined> {
  const command = certsCommand();
  for (const each of [command, ...command.commands])
    each.exitOverride().configureOutput({ writeErr() {}, writeOut() {} });
  return (await t.throwsAsync(command.parseAsync(args, { from: "user" }), { instanceOf: CommanderError }))?.code;
}

test("proxy certs makes a CA once, and issues from it", async (t) => {
  const caDir = await directory(t);
  t.like(await certs("init", caDir), {
    status: 0,
    out: `created ${caDir}/root.crt and ${caDir}/root.key\n`,
    error: "",
  });
  const root = await readFile(join(caDir, "root.key"), "utf8");
  t.like(await certs("init", caDir), {
    status: 1,
    out: "",
    error: `error: ${caDir}/root.crt is there already; nothing was changed\n`,
  });
  t.is(await readFile(join(caDir, "root.key"), "utf8"), root);

  const issued = await certs("issue", "--ca", caDir, "--role", "private", "--name", "x", "--dns", "a,b", "--dns", "c");
  t.is(issued.status, 0, issued.error);
  t.regex(issued.out, /issued .*x\.crt and .*x\.key, valid until \d{4}-\d\d-\d\d\nits identity, for grants: dns:a\n/);

  const refused = await certs("issue", "--ca", caDir, "--role", "private", "--name", "y", "--uri", "a:b,a:c");
  t.like(refused, { status: 1, out: "" });
  t.regex(refused.error, /^error: .*one URI.*\n$/);
});

test("proxy certs fails with one line where the files cannot be written", async (t) => {
  const file = join(await directory(t), "file");
  await writeFile(file, "");
  const failed = await certs("init", file);
  t.is(failed.status, 1);
  t.regex(failed.error, /^error: E[^\n]*\n$/);
});

test("proxy certs reports wrong usage before it does anything", async (t) => {
  const issue = ["issue", "--ca", "nowhere", "--name", "a"];
  t.is(await usageError(t, ...issue), "commander.missingMandatoryOptionValue");
  t.is(await usageError(t, ...issue, "--role", "other"), "commander.invalidArgument");
  t.is(await usageError(t, ...issue, "--role", "server", "--days", "ten"), "commander.invalidArgument");
  t.is(await usageError(t, ...issue, "--role", "server", "--dns", "a,,b"), "commander.invalidArgument");
  t.is(await usageError(t, "init"), "commander.missingArgument");
  t.is(await usageError(t, "revoke"), "commander.unknownCommand");
  t.is(await usageError(t), "commander.help");
});

test("make certs fills a directory, keeps what is good and renews what is not", async (t) => {
  const caDir = await directory(t);
  const names = ["public-proxy-1", "private-proxy-1", "internal-server"];
  const make = () => run(built("scripts/make-certs.js"), caDir);
  const changes = async () =>
    (await Promise.all(names.map((name) => stat(join(caDir, `${name}.crt`))))).map((s) => s.ino);

  t.is((await make()).status, 0);
  t.deepEqual(
    (await readdir(caDir)).sort(),
    ["root", ...names].flatMap((name) => [`${name}.crt`, `${name}.key`]).sort(),
  );
  const first = await changes();
  t.like(await make(), { status: 0, out: "" });
  t.deepEqual(await changes(), first);

  await issueCertificate({ caDir, role: "private", name: "private-proxy-1", days: 29 });
  await writeFile(join(caDir, "internal-server.key"), await readFile(join(caDir, "root.key")));
  t.like(await make(), {
    status: 0,
    out: `issued ${caDir}/private-proxy-1.crt\nissued ${caDir}/internal-server.crt\n`,
  });

  await rm(join(caDir, "root.key"));
  await rm(join(caDir, "private-proxy-1.crt"));
  const torn = await make();
  t.is(torn.status, 1);
  t.regex(torn.error, /^error: no usable CA in [^\n]*\n$/);
});

test("the example server answers, says so once when its port is taken, and ends on SIGTERM", async (t) => {
  const caDir = await directory(t);
  t.is((await run(built("scripts/make-certs.js"), caDir)).status, 0);
  const files = ["--cert", join(caDir, "internal-server.crt"), "--key", join(caDir, "internal-server.key")];
  const example = built("examples/internal-server.js");
  const server = spawn(process.execPath, [example, "--port", "0", ...files], { stdio: ["ignore", "pipe", "inherit"] });
  t.teardown(() => server.kill("SIGKILL"));
  const ended = once(server, "exit");
  const [line] = await once(server.stdout.setEncoding("utf8"), "data");
  const port = Number(/^internal server: https:\/\/127\.0\.0\.1:(\d+)\/jsonrpc\n$/.exec(line)?.[1]);

  const ca = await readFile(join(caDir, "root.crt"));
  const fetched = async (method: string, path: string) => {
    const options = {
      host: "127.0.0.1",
      port,
      path,
      method,
      ca,
      servername: "test.internal-server.local",
      agent: false,
    };
    const sent = request(options).end(method === "POST" ? "{}" : undefined);
    const [response] = await once(sent, "response");
    return [response.statusCode, response.headers["content-type"], await text(response)];
  };
  const success = [200, "application/json", '{"message":"success"}'];
  t.deepEqual(await fetched("POST", "/jsonrpc"), success);
  t.deepEqual(await fetched("GET", "/jsonrpc?id=1"), success);
  t.deepEqual(await fetched("GET", "/other"), [404, "application/json", '{"message":"not found"}']);

  t.deepEqual(await run(example, "--port", `${port}`, ...files), {
    status: 1,
    out: "",
    error: `error: 127.0.0.1:${port} is in use already\n`,
  });
  server.kill("SIGTERM");
  t.deepEqual(await ended, [0, null]);
});
