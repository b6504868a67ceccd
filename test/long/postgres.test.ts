import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import test, { type ExecutionContext } from "ava";
import { serverName, type TestCertificates, testCertificates } from "../harness/certificates.js";
import { has, passOver } from "../harness/needs.js";
import { startPair } from "../harness/pair.js";
import { freePorts } from "../harness/processes.js";

const run = promisify(execFile);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

/** Debian keeps the server's programs off the PATH, one folder for each version. */
function serverPrograms(): string | undefined {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(a) - Number(b)) : [];
  const newest = versions.at(-1);
  return newest === undefined ? undefined : join(root, newest, "bin");
}

/** A PostgreSQL server with TLS. It refuses to run as root, so root lends it another user. */
async function startPostgres(t: ExecutionContext, programs: string): Promise<{ port: number }> {
  const dir = mkdtempSync(join(tmpdir(), "proxy-postgres-"));
  const idOf = (flag: string) => Number(spawnSync("id", [flag, "postgres"], { encoding: "utf8" }).stdout);
  const user = process.getuid?.() === 0 ? { uid: idOf("-u"), gid: idOf("-g") } : undefined;
  const own = (path: string) => {
    if (user !== undefined) chownSync(path, user.uid, user.gid);
  };
  own(dir);
  const data = join(dir, "data");
  await run(join(programs, "initdb"), ["-D", data, "-A", "trust", "-U", "tester", "--no-sync"], { ...user, cwd: dir });
  for (const [from, to] of [
    ["internal-server.crt", "server.crt"],
    ["internal-server.key", "server.key"],
  ] as const) {
    copyFileSync(join(certificates.dir, from), join(data, to));
    chmodSync(join(data, to), 0o600);
    own(join(data, to));
  }
  const [port] = await freePorts(1);
  const settings = [
    "-c",
    "ssl=on",
    "-c",
    "fsync=off",
    "-c",
    "listen_addresses=127.0.0.1",
    "-k",
    dir,
    "-p",
    String(port),
  ];
  const server = spawn(join(programs, "postgres"), ["-D", data, ...settings], {
    ...user,
    cwd: dir,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(server, "exit");
  t.teardown(async () => {
    server.kill("SIGINT");
    await exited;
    rmSync(dir, { recursive: true });
  });
  await new Promise<void>((resolve, reject) => {
    let said = "";
    server.stderr.on("data", (chunk: Buffer) => {
      said += chunk;
      if (said.includes("ready to accept connections")) resolve();
    });
    server.once("exit", () => reject(new Error(said)));
  });
  return { port: port! };
}

test("a real psql talks to a real server through the pair, routed by server name", async (t) => {
  if (!has(t, "psql")) return;
  const programs = serverPrograms();
  if (programs === undefined) return passOver(t, "a PostgreSQL server");
  const { port } = await startPostgres(t, programs);
  const address = { kind: "tcp", host: "127.0.0.1", port } as const;
  const pair = await startPair(t, certificates, [{ address, startTls: "postgres" }], {
    public: { tls: { postgres: true } },
  });
  const where = `host=${serverName} hostaddr=127.0.0.1 port=${pair.public.clientPort} user=tester dbname=postgres`;
  const psql = (more: string, sql: string) =>
    run("psql", [`${where} ${more}`, "-XAtc", sql], {
      env: { ...process.env, PGCONNECT_TIMEOUT: "10" },
      maxBuffer: 1 << 28,
    });

  const verified = `sslmode=verify-full sslrootcert=${join(certificates.dir, "root.crt")}`;
  t.is((await psql(verified, "select ssl from pg_stat_ssl where pid = pg_backend_pid()")).stdout.trim(), "t");
  const { stdout } = await psql(verified, "select repeat('x', 1000) from generate_series(1, 20000)");
  t.is(stdout.length, 20_000 * 1001);
  t.is((await psql(`${verified} gssencmode=prefer`, "select 1")).stdout.trim(), "1");
  const refused = await t.throwsAsync(psql("sslmode=disable", "select 1"));
  t.regex(String(refused), /sslmode=require/);
});
