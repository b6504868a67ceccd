import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import test, { type ExecutionContext } from "ava";
import { initAuthority } from "../../src/certificates/authority.js";
import { readCertificate } from "../../src/certificates/identity.js";
import { type IssueOptions, issueCertificate } from "../../src/certificates/issue.js";

const clientAuthOid = "1.3.6.1.5.5.7.3.2";
const serverAuthOid = "1.3.6.1.5.5.7.3.1";
const dayMs = 86_400_000;
const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

async function directory(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "certificates-"));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
}

async function authority(t: ExecutionContext): Promise<string> {
  const caDir = await directory(t);
  t.is((await initAuthority(caDir)).status, "created");
  return caDir;
}

async function issue(t: ExecutionContext, options: IssueOptions): Promise<X509Certificate> {
  const issued = await issueCertificate(options);
  if (issued.status === "refused") return t.fail(issued.problem) as never;
  return new X509Certificate(await readFile(issued.certificate));
}

const modeOf = async (path: string) => (await stat(path)).mode & 0o777;

test("a CA is made in a directory that need not be there, its key for its owner only", async (t) => {
  const caDir = join(await directory(t), "new", "ca");
  const made = await initAuthority(caDir);
  t.deepEqual(made, { status: "created", certificate: join(caDir, "root.crt"), key: join(caDir, "root.key") });
  t.is(await modeOf(join(caDir, "root.key")), 0o600);
  const root = new X509Certificate(await readFile(join(caDir, "root.crt")));
  t.true(root.ca);
  t.true(root.verify(root.publicKey));
  t.is(root.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
  const years = (Date.parse(root.validTo) - Date.now()) / dayMs / 365;
  t.true(years > 9.99 && years < 10.01);
  t.true(Date.parse(root.validFrom) < Date.now() - 60_000);
});

test("a CA that is there is never overwritten, also not half", async (t) => {
  for (const present of ["root.crt", "root.key"]) {
    const caDir = await directory(t);
    await writeFile(join(caDir, present), "precious");
    t.deepEqual(await initAuthority(caDir), { status: "exists", path: join(caDir, present) });
    t.deepEqual(await readdir(caDir), [present]);
    t.is(await readFile(join(caDir, present), "utf8"), "precious");
  }
});

test("of several attempts at once to make a CA one wins, and its pair is whole", async (t) => {
  const caDir = await directory(t);
  const made = await Promise.all(Array.from({ length: 5 }, () => initAuthority(caDir)));
  t.is(made.filter(({ status }) => status === "created").length, 1);
  t.deepEqual((await readdir(caDir)).sort(), ["root.crt", "root.key"]);
  await issue(t, { caDir, role: "server", name: "a" });
});

test("a private proxy's certificate is for clients only and bears its name", async (t) => {
  const caDir = await authority(t);
  const certificate = await issue(t, { caDir, role: "private", name: "Clinic-7" });
  t.deepEqual(certificate.keyUsage, [clientAuthOid]);
  t.false(certificate.ca);
  t.is(certificate.subject, "CN=Clinic-7");
  t.like(readCertificate(certificate.raw), { status: "ok", identity: { text: "dns:clinic-7" } });
  t.is(await modeOf(join(caDir, "Clinic-7.key")), 0o600);
});

test("public proxies and servers get certificates for servers only", async (t) => {
  const caDir = await authority(t);
  for (const role of ["public", "server"] as const) {
    const certificate = await issue(t, { caDir, role, name: role });
    t.deepEqual(certificate.keyUsage, [serverAuthOid]);
    t.is(readCertificate(certificate.raw).status, "refused");
  }
});

test("the name is a DNS name of the certificate unless others or a URI are given", async (t) => {
  const caDir = await authority(t);
  const names = async (options: Partial<IssueOptions>) =>
    (await issue(t, { caDir, role: "public", name: "a", ...options })).subjectAltName;
  t.is(await names({}), "DNS:a");
  t.is(await names({ ip: ["127.0.0.1", "::1"] }), "DNS:a, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1");
  t.is(await names({ dns: ["B.example", "*.c.example"] }), "DNS:b.example, DNS:*.c.example");
  t.is(await names({ uri: ["spiffe://td/a"] }), "URI:spiffe://td/a");
  t.is(await names({ uri: ["spiffe://td/a"], dns: ["b"] }), "DNS:b, URI:spiffe://td/a");
});

test("a certificate lasts as many days as asked for, and never longer than its CA", async (t) => {
  const caDir = await authority(t);
  const ten = await issue(t, { caDir, role: "server", name: "a", days: 10 });
  t.true(Math.abs(Date.parse(ten.validTo) - Date.now() - 10 * dayMs) < 60_000);
  t.true(Date.parse(ten.validFrom) < Date.now() - 60_000);
  const root = new X509Certificate(await readFile(join(caDir, "root.crt")));
  const late = await issue(t, { caDir, role: "server", name: "a", days: 3650, now: new Date(Date.now() + 10 * dayMs) });
  t.is(late.validTo, root.validTo);
});

test("serial numbers are positive, random and about 128 bits long", async (t) => {
  const caDir = await authority(t);
  const serials = new Set<string>();
  for (let index = 0; index < 8; index += 1) {
    serials.add((await issue(t, { caDir, role: "server", name: "a" })).serialNumber);
  }
  t.is(serials.size, 8);
  for (const serial of serials) t.true(BigInt(`0x${serial}`) > 1n << 100n, serial);
});

test("issuing again replaces certificate and key, and leaves nothing else behind", async (t) => {
  const caDir = await authority(t);
  const first = await issue(t, { caDir, role: "server", name: "a" });
  const firstKey = await readFile(join(caDir, "a.key"), "utf8");
  await chmod(join(caDir, "a.key"), 0o644);
  const second = await issue(t, { caDir, role: "server", name: "a" });
  t.not(first.serialNumber, second.serialNumber);
  t.not(firstKey, await readFile(join(caDir, "a.key"), "utf8"));
  t.is(await modeOf(join(caDir, "a.key")), 0o600);
  t.deepEqual((await readdir(caDir)).sort(), ["a.crt", "a.key", "root.crt", "root.key"]);
});

test("what cannot be issued is refused with one problem, and nothing is written", async (t) => {
  const caDir = await authority(t);
  const good = { caDir, role: "private", name: "a" } as const;
  const cases: [Partial<IssueOptions>, RegExp][] = [
    [{ name: "root" }, /the CA's own/],
    [{ name: "ROOT" }, /the CA's own/],
    ...["", ".", "..", "../a", "a/b", "a\\b", ".a", "-a", "a\0", "a b", "a".repeat(65), "caf\u00e9", "*.a"].map(
      (name): [Partial<IssueOptions>, RegExp] => [{ name }, /is not made of letters/],
    ),
    [{ uri: ["spiffe://a/b", "spiffe://a/c"] }, /one URI/],
    [{ uri: ["spiffe://a/*"] }, /not a URI/],
    [{ uri: ["a,b"] }, /not a URI/],
    [{ dns: ["*.a"] }, /not a DNS name/],
    [{ dns: ["a b"] }, /not a DNS name/],
    [{ role: "server", dns: ["*.*.a"] }, /not a DNS name/],
    [{ role: "server", dns: ["127.0.0.1"] }, /not a DNS name/],
    [{ role: "server", name: "127.0.0.1" }, /not a DNS name/],
    [{ ip: ["127.0.0.256"] }, /not an IP address/],
    [{ ip: ["fe80::1%eth0"] }, /not an IP address/],
    ...[0, -1, 1.5, 3651, Number.NaN].map((days): [Partial<IssueOptions>, RegExp] => [{ days }, /whole number/]),
  ];
  for (const [change, expected] of cases) {
    const issued = await issueCertificate({ ...good, ...change });
    t.regex(issued.status === "refused" ? issued.problem : "issued", expected, JSON.stringify(change));
  }
  t.deepEqual((await readdir(caDir)).sort(), ["root.crt", "root.key"]);
});

test("a CA that is missing, torn, foreign or expired issues nothing", async (t) => {
  const caDir = await authority(t);
  const other = await authority(t);
  const problem = async (from: string, options: { now?: Date } = {}) => {
    const issued = await issueCertificate({ caDir: from, role: "server", name: "a", ...options });
    return issued.status === "refused" ? issued.problem : "issued";
  };
  t.regex(await problem(join(caDir, "nowhere")), /no usable CA in .*nowhere.*proxy certs init/);
  t.regex(await problem(caDir, { now: new Date(Date.now() + 3651 * dayMs) }), /has expired/);
  const rootKey = await readFile(join(caDir, "root.key"));
  await writeFile(join(caDir, "root.key"), await readFile(join(other, "root.key")));
  t.regex(await problem(caDir), /do not belong together/);
  await writeFile(join(caDir, "root.key"), "no key");
  t.regex(await problem(caDir), /no usable CA/);
  await writeFile(join(caDir, "root.key"), rootKey);
  await issue(t, { caDir, role: "server", name: "a" });
  await writeFile(join(caDir, "root.crt"), await readFile(join(caDir, "a.crt")));
  t.regex(await problem(caDir), /not a CA's certificate/);
});

test("openssl accepts the chains for their purpose only", async (t) => {
  if (!hasOpenssl) {
    t.log("skipped: there is no openssl here");
    t.pass();
    return;
  }
  const caDir = await authority(t);
  await issue(t, { caDir, role: "private", name: "private" });
  await issue(t, { caDir, role: "public", name: "public" });
  await issue(t, { caDir, role: "server", name: "server" });
  const accepts = (purpose: string, name: string) =>
    spawnSync("openssl", [
      ...["verify", "-x509_strict", "-CAfile", join(caDir, "root.crt")],
      ...["-purpose", purpose, join(caDir, `${name}.crt`)],
    ]).status === 0;
  t.true(accepts("sslclient", "private"));
  t.false(accepts("sslserver", "private"));
  for (const name of ["public", "server"]) {
    t.true(accepts("sslserver", name));
    t.false(accepts("sslclient", name));
  }
});

test("a mutual TLS handshake succeeds, and gives the server the client's identity", async (t) => {
  const caDir = await authority(t);
  await issue(t, { caDir, role: "public", name: "public-1", dns: ["localhost"], ip: ["127.0.0.1"] });
  await issue(t, { caDir, role: "private", name: "private-1", uri: ["spiffe://td/private-1"] });
  const pair = async (name: string) => ({
    ca: await readFile(join(caDir, "root.crt")),
    cert: await readFile(join(caDir, `${name}.crt`)),
    key: await readFile(join(caDir, `${name}.key`)),
  });
  const server = createServer({ ...(await pair("public-1")), requestCert: true, rejectUnauthorized: false });
  t.teardown(() => server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;

  const accepted = once(server, "secureConnection");
  const client = connect({ ...(await pair("private-1")), host: "127.0.0.1", port });
  t.teardown(() => client.destroy());
  await once(client, "secureConnect");
  t.true(client.authorized);
  const [peer] = await accepted;
  t.teardown(() => peer.destroy());
  t.true(peer.authorized);
  t.like(readCertificate(peer.getPeerCertificate().raw), { identity: { text: "uri:spiffe://td/private-1" } });

  const again = once(server, "secureConnection");
  const impostor = connect({ ...(await pair("public-1")), host: "127.0.0.1", port });
  t.teardown(() => impostor.destroy());
  const [refused] = await again;
  t.teardown(() => refused.destroy());
  t.false(refused.authorized, "a server's certificate is no client's");
});
