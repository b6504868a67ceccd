import test from "ava";
import { reasons } from "../../src/base/reasons.js";
import { alertRecord, createHelloReader, type HelloRejection } from "../../src/tls-sni/index.js";
import {
  alpn,
  type Extension,
  encodeHello,
  encodeMessage,
  encodeRecord,
  encodeRecords,
  serverName,
  supportedVersions,
  u8,
  u16,
  vector,
} from "./tls-sni-encoder.js";
import { feed } from "./tls-sni-feed.js";

const good = encodeMessage({ extensions: [serverName("a.example.com"), alpn(["h2"])] });
const withExtensions = (...extensions: Extension[]) => encodeHello({ extensions });
const extension = (type: number, ...body: Uint8Array[]): Extension => ({ type, body: Buffer.concat(body) });
const named = (name: string | Buffer) => withExtensions(serverName(name));
const hostName = (name: string) => Buffer.concat([u8(0), vector(2, Buffer.from(name))]);

const cases: Partial<Record<HelloRejection, Record<string, Buffer>>> = {
  not_tls_http: {
    "a GET request": Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a POST request": Buffer.from("POST /hook HTTP/1.1\r\n"),
    "an HTTP/2 preface": Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  },
  not_tls_ssh: { "an SSH banner": Buffer.from("SSH-2.0-OpenSSH_9.2p1\r\n") },
  not_tls_rdp: {
    "an RDP connection request": Buffer.from("030000130ee000000000000100080003000000", "hex"),
  },
  not_tls_proxy_header: {
    "a PROXY v1 header": Buffer.from("PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n"),
    "a PROXY v2 header": Buffer.from("0d0a0d0a000d0a515549540a21110000", "hex"),
  },
  not_tls_sslv2: {
    "an SSLv2-style hello for TLS 1.0": Buffer.from("802e0103010015000000100000040000050000", "hex"),
    "an SSLv2 hello": Buffer.from("802e0100020015000000100000040000050000", "hex"),
  },
  not_tls: {
    "an SMTP greeting": Buffer.from("EHLO example.com\r\n"),
    zeroes: Buffer.alloc(16),
    "a handshake record of version 2": Buffer.from("16020100050100000100", "hex"),
    "almost an SSLv2 hello": Buffer.from("802e0203010015", "hex"),
    "almost an RDP request": Buffer.from("030000130ed0", "hex"),
    "the end of a method": Buffer.from("GETS nothing"),
  },
  not_client_hello: {
    "an alert": encodeRecord(Buffer.of(1, 0), 0x0303, 21),
    "application data": encodeRecord(Buffer.alloc(10), 0x0303, 23),
    "a ServerHello": encodeRecord(Buffer.concat([u8(2), good.subarray(1)])),
    "an alert between the records of a hello": Buffer.concat([
      encodeRecord(good.subarray(0, 20)),
      encodeRecord(Buffer.of(1, 0), 0x0303, 21),
    ]),
    "a change_cipher_spec between the records of a hello": Buffer.concat([
      encodeRecord(good.subarray(0, 2)),
      encodeRecord(Buffer.of(1), 0x0303, 20),
    ]),
    "another message in the hello's record": encodeRecord(Buffer.concat([good, good])),
    "a byte behind the hello in its last record": Buffer.concat([
      encodeRecord(good.subarray(0, 20)),
      encodeRecord(Buffer.concat([good.subarray(20), u8(0)])),
    ]),
    "a byte behind a hello whose header is split": Buffer.concat([
      encodeRecord(good.subarray(0, 3)),
      encodeRecord(Buffer.concat([good.subarray(3), u8(0)])),
    ]),
  },
  record_too_long: {
    "a record of 2^14 + 1 bytes": Buffer.concat([Buffer.from("1603014001", "hex"), Buffer.alloc(100)]),
    "a later record of 2^14 + 1 bytes": Buffer.concat([
      encodeRecord(good.subarray(0, 2)),
      Buffer.from("1603014001", "hex"),
    ]),
  },
  hello_too_large: {
    "a hello of 2^24 bytes": encodeRecord(Buffer.from("01ffffff0303", "hex")),
    "one byte more than allowed": encodeRecord(Buffer.from("01fffd0303", "hex").fill(0, 4)),
    "a length spread over records": encodeRecords(Buffer.from("0101000003", "hex"), [1]),
  },
  hello_malformed: {
    "an empty record": Buffer.from("1603010000", "hex"),
    "an empty record between others": Buffer.concat([encodeRecord(good.subarray(0, 9)), encodeRecord(Buffer.alloc(0))]),
    "a later record of another version": Buffer.concat([
      encodeRecord(good.subarray(0, 9)),
      encodeRecord(good.subarray(9), 0x0201),
    ]),
    "an empty hello": encodeRecord(Buffer.of(1, 0, 0, 0)),
    "a hello that ends in its random": encodeRecord(Buffer.concat([u8(1), vector(3, good.subarray(4, 30))])),
    "a version that is not 3.x": encodeHello({ legacyVersion: 0xfefd, extensions: [] }),
    "a session id of 33 bytes": encodeHello({ sessionId: Buffer.alloc(33) }),
    "no cipher suites": encodeHello({ cipherSuites: Buffer.alloc(0) }),
    "half a cipher suite": encodeHello({ cipherSuites: Buffer.alloc(3) }),
    "no compression methods": encodeHello({ compressionMethods: Buffer.alloc(0) }),
    "one byte behind the compression methods": encodeRecord(
      Buffer.concat([u8(1), vector(3, encodeMessage({}).subarray(4), u8(0))]),
    ),
    "a byte behind the extensions": encodeRecord(Buffer.concat([u8(1), vector(3, good.subarray(4), u8(0))])),
    "extensions longer than the hello": encodeRecord(Buffer.concat([u8(1), vector(3, good.subarray(4, -1))])),
    "three bytes of an extension": withoutBlockCheck(Buffer.of(0, 23, 0)),
    "an extension that reaches beyond the block": withoutBlockCheck(Buffer.of(0, 23, 0, 1)),
    "an empty server_name": withExtensions(extension(0)),
    "an empty list of names": withExtensions(extension(0, u16(0))),
    "a name list shorter than its extension": withExtensions(extension(0, vector(2, hostName("a.example")), u8(0))),
    "a name list longer than its extension": withExtensions(extension(0, u16(13), hostName("a.example"))),
    "a name longer than its list": withExtensions(extension(0, vector(2, u8(0), u16(10), Buffer.from("a.example")))),
    "a name of another type": withExtensions(extension(0, vector(2, u8(1), vector(2, Buffer.from("a.example"))))),
    "a name of another type behind the host name": withExtensions(
      extension(0, vector(2, hostName("a.example"), u8(1), vector(2, Buffer.from("b")))),
    ),
    "an empty ALPN list": withExtensions(alpn([])),
    "an empty protocol name": withExtensions(alpn(["h2", ""])),
    "a protocol longer than the list": withExtensions(extension(16, u16(3), u8(3), Buffer.from("h2"))),
    "an ALPN list shorter than its extension": withExtensions(
      extension(16, vector(2, vector(1, Buffer.from("h2"))), u8(0)),
    ),
    "no supported versions": withExtensions(supportedVersions([])),
    "half a supported version": withExtensions(extension(43, vector(1, Buffer.of(3, 4, 3)))),
    "supported versions longer than the extension": withExtensions(extension(43, u8(4), u16(0x0304))),
    "early_data with a body": withExtensions(extension(42, u8(0))),
    "an empty encrypted_client_hello": withExtensions(extension(0xfe0d)),
    "an encrypted_client_hello of another kind": withExtensions(extension(0xfe0d, u8(2))),
    "an inner encrypted_client_hello with a body": withExtensions(extension(0xfe0d, Buffer.of(1, 0))),
    "an outer encrypted_client_hello without payload": withExtensions(
      extension(0xfe0d, Buffer.alloc(6), vector(2, Buffer.alloc(32)), u16(0)),
    ),
    "an outer encrypted_client_hello cut short": withExtensions(
      extension(0xfe0d, Buffer.alloc(6), vector(2, Buffer.alloc(32)), u16(5), Buffer.alloc(4)),
    ),
  },
  hello_contradictory: {
    "two server_name extensions": withExtensions(serverName("a.example"), serverName("b.example")),
    "the same unknown extension twice": withExtensions(extension(0xaaaa), alpn(["h2"]), extension(0xaaaa)),
    "two host names in one list": withExtensions(extension(0, vector(2, hostName("a.example"), hostName("b.example")))),
    "an extension behind pre_shared_key": withExtensions(extension(41, Buffer.alloc(50)), serverName("a.example")),
  },
  server_name_invalid: {
    "an empty name": named(""),
    "the root": named("."),
    "two trailing dots": named("a.example.."),
    "a leading dot": named(".example.com"),
    "an empty label": named("a..example.com"),
    "a label of 64 bytes": named(`${"a".repeat(64)}.example`),
    "a name of 254 bytes": named(`${"a.".repeat(126)}ab`),
    "an IPv4 address": named("192.0.2.1"),
    "an IPv4 address with a trailing dot": named("192.0.2.1."),
    "an IPv4 address as one number": named("3221225985"),
    "an IPv4 address in hex": named("0xC0.0.0x2.1"),
    "an IPv6 address": named("2001:db8::1"),
    "an IPv6 address in brackets": named("[2001:db8::1]"),
    "a name with a port": named("a.example:443"),
    "a name with a zero byte": named("a.example\0.evil.example"),
    "a name with a space": named("a example"),
    "a wildcard": named("*.example.com"),
    "UTF-8": named("bücher.example"),
    "a Latin-1 letter": named(Buffer.from("b\xfccher.example", "latin1")),
    "a slash": named("a/../b.example"),
  },
};

for (const [reason, byName] of Object.entries(cases)) {
  for (const [name, bytes] of Object.entries(byName)) {
    test(`${name} is ${reason}, in any chunks`, (t) => {
      for (const size of [bytes.length, 1, 2, 5])
        t.deepEqual(feed(bytes, [size]) as object, { status: "reject", reason });
    });
  }
}

test("the longest name and the longest label are read", (t) => {
  for (const name of [`${"a.".repeat(126)}a`, `${"a".repeat(63)}.example`]) {
    t.like(feed(named(name), [1]), { status: "hello", hello: { serverName: name } });
  }
});

test("the alert of a reason is a whole record, and what is not TLS has none", (t) => {
  t.deepEqual(alertRecord("server_name_not_announced"), Uint8Array.of(21, 3, 3, 0, 2, 2, 112));
  t.deepEqual(alertRecord("record_too_long"), Uint8Array.of(21, 3, 3, 0, 2, 2, 22));
  t.is(alertRecord("not_tls_http"), undefined);
  for (const reason of Object.keys(cases) as HelloRejection[]) {
    t.is(alertRecord(reason) === undefined, reason.startsWith("not_tls"), reason);
    t.is(reasons[reason].scope, "client");
  }
});

test("a flood of records of one byte is kept only to six times the largest hello", (t) => {
  const maxHelloBytes = 1000;
  const reader = createHelloReader({ maxHelloBytes });
  const flood = encodeRecords(Buffer.concat([Buffer.of(1, 0, 0x03, 0xe4), Buffer.alloc(5000)]), [1]);
  for (const byte of flood) if (reader.push(Uint8Array.of(byte)).status !== "more") break;
  t.is(reader.bytes.length, 6 * maxHelloBytes);
});

test("a limit that is not a number lets nothing through", (t) => {
  t.deepEqual(feed(encodeRecord(good), [1], { maxHelloBytes: Number.NaN }) as object, {
    status: "reject",
    reason: "hello_too_large",
  });
});

/** A hello whose extension block is these bytes. */
function withoutBlockCheck(block: Buffer): Buffer {
  return encodeRecord(Buffer.concat([u8(1), vector(3, encodeMessage({}).subarray(4), vector(2, block))]));
}
