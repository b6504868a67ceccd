import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  GeneralNames,
  type JsonGeneralNames,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import test from "ava";
import fc from "fast-check";
import { readCertificate, readIdentity } from "../../src/certificates/identity.js";

const keys = await webcrypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
const subjectAltName = "2.5.29.17";
const clientAuth = new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]);

async function certificateWith(...extensions: Extension[]): Promise<Uint8Array> {
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: "CN=common-name",
    serialNumber: "01020304",
    notAfter: new Date("2030-01-02T03:04:05Z"),
    keys,
    extensions,
  });
  return new Uint8Array(certificate.rawData);
}

const clientWith = (names: JsonGeneralNames) => certificateWith(clientAuth, new SubjectAlternativeNameExtension(names));

/** A SAN extension whose names are given as DER. */
const rawNames = (...names: Buffer[]) => {
  const contents = Buffer.concat(names);
  return new Extension(subjectAltName, false, Buffer.concat([Uint8Array.of(0x30, contents.length), contents]));
};
const rawName = (tag: number, contents: string) =>
  Buffer.concat([Uint8Array.of(tag, contents.length), Buffer.from(contents, "latin1")]);

async function problemOf(der: Uint8Array | Promise<Uint8Array>): Promise<string> {
  const read = readIdentity(await der);
  return read.status === "refused" ? read.problem : `accepted as ${read.identity.text}`;
}

test("the identity is the one URI, whatever DNS names stand beside it", async (t) => {
  const der = await clientWith([
    { type: "dns", value: "first.example" },
    { type: "url", value: "spiffe://Example/Clinic/7" },
  ]);
  t.deepEqual(readIdentity(der), {
    status: "ok",
    identity: { type: "uri", value: "spiffe://Example/Clinic/7", text: "uri:spiffe://Example/Clinic/7" },
  });
});

test("without a URI the identity is the first DNS name, in lower case", async (t) => {
  const der = await clientWith([
    { type: "ip", value: "192.0.2.1" },
    { type: "email", value: "a@b.example" },
    { type: "dns", value: "Clinic-7.Example" },
    { type: "dns", value: "*.second.example" },
  ]);
  t.deepEqual(readIdentity(der), {
    status: "ok",
    identity: { type: "dns", value: "clinic-7.example", text: "dns:clinic-7.example" },
  });
});

test("a certificate gives its serial number and its end too", async (t) => {
  const read = readCertificate(await clientWith([{ type: "dns", value: "a" }]));
  t.like(read, { status: "ok", serialNumber: "01020304" });
  t.deepEqual(read.status === "ok" && read.notAfter, new Date("2030-01-02T03:04:05Z"));
});

test("names of kinds that nobody knows are passed over", async (t) => {
  const otherName = Buffer.from("a00c06032a0304a0050c03616263", "hex");
  t.deepEqual(readIdentity(await certificateWith(clientAuth, rawNames(otherName, rawName(0x82, "a.example")))), {
    status: "ok",
    identity: { type: "dns", value: "a.example", text: "dns:a.example" },
  });
});

test("the CN counts for nothing", async (t) => {
  t.regex(await problemOf(certificateWith(clientAuth)), /neither a URI nor a DNS name/);
  t.regex(await problemOf(clientWith([{ type: "ip", value: "192.0.2.1" }])), /neither a URI nor a DNS name/);
});

test("more than one URI is refused, equal ones too", async (t) => {
  const uri = { type: "url" as const, value: "spiffe://a/b" };
  t.regex(await problemOf(clientWith([uri, { type: "url", value: "spiffe://a/c" }])), /more than one URI/);
  t.regex(await problemOf(clientWith([uri, uri])), /more than one URI/);
});

test("a certificate that is not for clients is refused, so a public proxy's cannot pose as a private one's", async (t) => {
  const names = new SubjectAlternativeNameExtension([{ type: "dns", value: "a" }]);
  for (const extensions of [
    [names],
    [names, new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth])],
    [names, new ExtendedKeyUsageExtension(["2.5.29.37.0"])],
  ]) {
    t.regex(await problemOf(certificateWith(...extensions)), /not for clients/);
  }
  t.is(
    await problemOf(
      certificateWith(names, new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth])),
    ),
    "accepted as dns:a",
  );
});

test("a CA's certificate is refused", async (t) => {
  const names = new SubjectAlternativeNameExtension([{ type: "dns", value: "a" }]);
  t.regex(await problemOf(certificateWith(new BasicConstraintsExtension(true), clientAuth, names)), /is a CA's/);
  t.is(await problemOf(certificateWith(new BasicConstraintsExtension(false), clientAuth, names)), "accepted as dns:a");
});

test("names that hold what no name holds are refused, wherever they stand", async (t) => {
  for (const hostile of ["a\0.example", "a,DNS:b", "a\nb", "a b", "\x7f", "caf\xe9.example", ""]) {
    for (const tag of [0x82, 0x86]) {
      const name = rawName(tag, hostile);
      t.regex(await problemOf(certificateWith(clientAuth, rawNames(name))), /no name holds/, JSON.stringify(hostile));
      const second = rawNames(rawName(0x82, "a.example"), name);
      t.regex(await problemOf(certificateWith(clientAuth, second)), /no name holds/, JSON.stringify(hostile));
    }
  }
  const long = `${"a".repeat(60)}.`.repeat(40);
  t.regex(await problemOf(clientWith([{ type: "dns", value: long }])), /no name holds/);
  t.regex(await problemOf(clientWith([{ type: "url", value: `spiffe://a/${"b".repeat(2048)}` }])), /no name holds/);
});

test("a first DNS name that is none, or a URI that is none, gives no identity", async (t) => {
  for (const value of ["*.example", "a..b", ".a", "a.", "a/b", "a:1", "a@b", "x".repeat(64), "a.".repeat(127)]) {
    t.regex(await problemOf(clientWith([{ type: "dns", value }])), /not a host name/, value);
  }
  for (const value of ["no-scheme", "spiffe:", "://x", "spiffe://a/*", "spiffe://a/\\b", "spiffe://a/<b>", "1a:b"]) {
    t.regex(await problemOf(clientWith([{ type: "url", value }])), /URI is not valid/, value);
  }
});

test("a subject alternative name extension that stands twice gives no identity", async (t) => {
  const names = (value: string) => new SubjectAlternativeNameExtension([{ type: "dns", value }]);
  t.regex(await problemOf(certificateWith(clientAuth, names("a"), names("b"))), /cannot be read/);
});

test("names in other than the shortest definite form give no identity", async (t) => {
  for (const names of [
    "30800281016100000000", // indefinite length
    "30048281" + "0161", // a length in two bytes that fits into one
    "3005" + "820161" + "82", // cut off
    "3003" + "820261", // longer than its sequence
    "3003" + "820161" + "00", // something after the sequence
    "0403" + "820161", // no sequence
    "3005" + "9f22036162", // a tag of two bytes
  ]) {
    const extension = new Extension(subjectAltName, false, Buffer.from(names, "hex"));
    t.regex(await problemOf(certificateWith(clientAuth, extension)), /cannot be read/, names);
  }
});

test("what is no certificate gives no identity", async (t) => {
  const der = await clientWith([{ type: "dns", value: "a" }]);
  for (const bytes of [
    new Uint8Array(0),
    Buffer.from("3000", "hex"),
    Buffer.from("no certificate"),
    Buffer.concat([der, Uint8Array.of(0)]),
    der.subarray(0, -1),
    new Uint8Array(100_000),
  ]) {
    t.regex(await problemOf(bytes), /cannot be read/);
  }
});

test("a certificate with a byte changed never throws, and never gives a name that is none", async (t) => {
  const der = await clientWith([
    { type: "dns", value: "clinic-7.example" },
    { type: "dns", value: "b.example" },
  ]);
  const changes = fc.array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(changes, (changed) => {
      const bytes = Buffer.from(der);
      for (const [at, value] of changed) bytes[at] = value;
      const read = readIdentity(bytes);
      if (read.status === "ok") t.regex(read.identity.text, /^(?:dns:[a-z0-9_.-]+|uri:[!-~]+)$/);
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

test("the names are those that @peculiar/x509 reads", async (t) => {
  const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/);
  const name = fc.oneof(
    fc
      .array(label, { minLength: 1, maxLength: 4 })
      .map((labels) => ({ type: "dns" as const, value: labels.join(".") })),
    label.map((path) => ({ type: "url" as const, value: `spiffe://td/${path}` })),
    fc.ipV4().map((value) => ({ type: "ip" as const, value })),
    label.map((local) => ({ type: "email" as const, value: `${local}@mail.example` })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(name, { maxLength: 12 }), async (names) => {
      const der = await clientWith(names);
      const extension = new X509Certificate(der).getExtension(subjectAltName);
      const oracle = new GeneralNames(extension!.value).items;
      const uris = oracle.filter(({ type }) => type === "url").map(({ value }) => `uri:${value}`);
      const dns = oracle.filter(({ type }) => type === "dns").map(({ value }) => `dns:${value.toLowerCase()}`);
      const read = readIdentity(der);
      const expected = uris.length > 1 ? undefined : (uris[0] ?? dns[0]);
      t.is(read.status === "ok" ? read.identity.text : undefined, expected);
    }),
    { numRuns: 60 },
  );
});

test("other extensions, critical ones too, do not hide the names", async (t) => {
  const der = await certificateWith(
    new BasicConstraintsExtension(false, undefined, true),
    await AuthorityKeyIdentifierExtension.create(keys.publicKey),
    clientAuth,
    new SubjectAlternativeNameExtension([{ type: "dns", value: "a" }], true),
    new Extension("1.2.3.4", false, Uint8Array.of(5, 0)),
  );
  t.is(await problemOf(der), "accepted as dns:a");
});
