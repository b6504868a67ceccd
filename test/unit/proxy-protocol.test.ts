import test from "ava";
import fc from "fast-check";
import { ProxyError } from "../../src/base/errors.js";
import { crc32c } from "../../src/rendezvous/crc32c.js";
import type { ProxyHeaderFields, ProxyPeer } from "../../src/rendezvous/proxy-header.js";
import { connectionIdText, decodeProxyHeader, defaultMaxHeaderBytes } from "../../src/rendezvous/proxy-protocol.js";
import { encodeProxyV2 } from "../../src/rendezvous/proxy-v2-encode.js";

const client4 = { family: "ipv4", address: "192.0.2.7", port: 50000 } as const;
const server4 = { family: "ipv4", address: "198.51.100.1", port: 443 } as const;
const client6 = { family: "ipv6", address: "2001:db8::7", port: 50000 } as const;
const server6 = { family: "ipv6", address: "2001:db8::1", port: 443 } as const;

const signature = "0d0a0d0a000d0a515549540a";
const bytesOf = (...hex: string[]) => Buffer.from(hex.join(""), "hex");
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const encoded = (fields: ProxyHeaderFields) => hexOf(encodeProxyV2(fields));

/** A version 2 header around a body, with the length that belongs to it. */
function header(command: string, family: string, ...body: string[]): Buffer {
  const rest = bytesOf(...body);
  return bytesOf(signature, command, family, rest.length.toString(16).padStart(4, "0"), rest.toString("hex"));
}

function tlv(type: number, value: Uint8Array): string {
  return hexOf(Buffer.concat([Uint8Array.of(type, value.length >> 8, value.length & 0xff), value]));
}

const addresses4 = "c0000207c6336401c35001bb";

test("an IPv4 header with all its TLVs is written byte for byte", (t) => {
  const fields = { serverName: "a.example", connectionId: "c-17", announcementId: 0x01020304 };
  t.is(
    encoded({ source: client4, destination: server4, ...fields }),
    [
      signature,
      "21", // version 2, PROXY
      "11", // AF_INET, STREAM
      "0026", // 38 bytes follow
      "c0000207", // 192.0.2.7
      "c6336401", // 198.51.100.1
      "c350", // 50000
      "01bb", // 443
      "020009", // PP2_TYPE_AUTHORITY, 9 bytes
      "612e6578616d706c65", // "a.example"
      "050004", // PP2_TYPE_UNIQUE_ID, 4 bytes
      "632d3137", // "c-17"
      "e00004", // announcement id, 4 bytes
      "01020304",
    ].join(""),
  );
});

test("an IPv6 header is written byte for byte", (t) => {
  t.is(
    encoded({ source: client6, destination: server6 }),
    [
      signature,
      "21",
      "21", // AF_INET6, STREAM
      "0024", // 36 bytes follow
      "20010db8000000000000000000000007",
      "20010db8000000000000000000000001",
      "c350",
      "01bb",
    ].join(""),
  );
});

test("ends that no family holds together are AF_UNSPEC, and the TLVs follow at once", (t) => {
  const expected = [signature, "21", "00", "0007", "e00004", "ffffffff"].join("");
  for (const [source, destination] of [
    [{ family: "unix" }, server4],
    [client4, { family: "unix" }],
    [client4, server6],
    [{ ...client4, address: "no address" }, server4],
    [client4, { ...server4, address: "198.51.100" }],
    [client6, { ...server6, address: "198.51.100.1" }],
  ] as [ProxyPeer, ProxyPeer][]) {
    t.is(encoded({ source, destination, announcementId: 0xffffffff }), expected);
  }
});

test("an IPv4-mapped address stays an IPv6 address, and a zone is left out", (t) => {
  const source = { ...client6, address: "::ffff:192.0.2.7" };
  const bytes = encodeProxyV2({ source, destination: { ...server6, address: "fe80::1%eth0" } });
  t.like(decodeProxyHeader(bytes), {
    header: { source, destination: { family: "ipv6", address: "fe80::1", port: 443 } },
  });
});

test("a field too long for its TLV is a fault of this program", (t) => {
  for (const fields of [{ serverName: "x".repeat(256) }, { connectionId: new Uint8Array(129) }]) {
    const error = t.throws(() => encodeProxyV2({ source: client4, destination: server4, ...fields }), {
      instanceOf: ProxyError,
    });
    t.is(error?.code, "internal");
  }
});

test("what was encoded as version 2 is decoded again, cut at any byte it asks for more, and what follows is left alone", (t) => {
  const port = fc.integer({ min: 0, max: 65535 });
  const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const peers = fc.oneof(
    fc.record({
      source: fc.record({ family: fc.constant("ipv4" as const), address: fc.ipV4(), port }),
      destination: fc.record({ family: fc.constant("ipv4" as const), address: fc.ipV4(), port }),
    }),
    fc.record({
      source: fc.record({ family: fc.constant("ipv6" as const), address: ipv6.map(canonical), port }),
      destination: fc.record({ family: fc.constant("ipv6" as const), address: ipv6.map(canonical), port }),
    }),
  );
  const extras = fc.record(
    {
      serverName: fc.domain(),
      connectionId: fc.uint8Array({ minLength: 1, maxLength: 128 }),
      announcementId: fc.integer({ min: 0, max: 0xffffffff }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(peers, extras, fc.uint8Array({ maxLength: 8 }), (ends, more, rest) => {
      const bytes = encodeProxyV2({ ...ends, ...more });
      for (let cut = 0; cut < bytes.length; cut += 1) {
        if (decodeProxyHeader(bytes.subarray(0, cut)).status !== "more") t.fail(`cut at ${cut}`);
      }
      t.deepEqual(decodeProxyHeader(Buffer.concat([bytes, rest])), {
        status: "header",
        header: { version: 2, command: "proxy", ...ends, ...more },
        length: bytes.length,
      });
    }),
  );
});

/** The canonical text of sixteen bytes, by way of the URL parser: it follows RFC 5952 but for mapped addresses. */
function canonical(bytes: Uint8Array): string {
  const groups = hexOf(bytes).match(/.{4}/g) ?? [];
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

test("IPv6 addresses are read in their canonical text", (t) => {
  for (const [hex, text] of [
    ["00000000000000000000000000000000", "::"],
    ["00000000000000000000000000000001", "::1"],
    ["20010db8000000000001000000000001", "2001:db8::1:0:0:1"],
    ["20010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"],
    ["20010000000000000000000000000000", "2001::"],
    ["00000000000000000000ffffc0000201", "::ffff:192.0.2.1"],
  ]) {
    const bytes = header("21", "21", hex!, hex!, "0001", "0002");
    t.like(decodeProxyHeader(bytes), { header: { source: { address: text } } });
  }
});

test("the decoded header does not point into the buffer it was read from", (t) => {
  const bytes = encodeProxyV2({ source: client4, destination: server4, connectionId: Uint8Array.of(1, 2, 3) });
  const decoded = decodeProxyHeader(bytes);
  bytes.fill(0xff);
  t.like(decoded, { header: { connectionId: Uint8Array.of(1, 2, 3) } });
});

test("LOCAL is accepted and whatever it carries is discarded", (t) => {
  for (const bytes of [
    header("20", "00"),
    header("20", "11", addresses4),
    header("20", "ff", "020001"),
    header("20", "11", "00"),
  ]) {
    t.deepEqual(decodeProxyHeader(bytes), {
      status: "header",
      header: { version: 2, command: "local" },
      length: bytes.length,
    });
  }
});

test("datagram and unix families give a header without addresses, with its TLVs", (t) => {
  const id = tlv(0xe0, Uint8Array.of(0, 0, 0, 9));
  for (const [family, bytes] of [
    ["00", 0],
    ["12", 12],
    ["22", 36],
    ["31", 216],
    ["32", 216],
  ] as const) {
    const decoded = decodeProxyHeader(header("21", family, "41".repeat(bytes), id));
    t.like(decoded, { status: "header", header: { version: 2, command: "proxy", announcementId: 9 } }, family);
    t.false(decoded.status === "header" && "source" in decoded.header);
  }
});

test("a wrong signature, version, command, family or length is known at its byte", (t) => {
  const right = header("21", "11", addresses4);
  for (let at = 0; at < 14; at += 1) {
    const wrong = Buffer.from(right.subarray(0, at + 1));
    wrong[at]! ^= 0x80;
    t.is(decodeProxyHeader(right.subarray(0, at + 1)).status, "more");
    t.is(decodeProxyHeader(wrong).status, "malformed", `byte ${at}`);
  }
  for (const family of ["01", "10", "13", "23", "30", "33", "41"]) {
    t.is(decodeProxyHeader(bytesOf(signature, "21", family)).status, "malformed", family);
  }
  for (const command of ["10", "22", "2f", "31"]) {
    t.is(decodeProxyHeader(bytesOf(signature, command)).status, "malformed", command);
  }
  t.is(decodeProxyHeader(bytesOf(signature, "21", "11", "000b")).status, "malformed");
  t.is(decodeProxyHeader(bytesOf(signature, "21", "21", "0023")).status, "malformed");
  t.is(decodeProxyHeader(bytesOf(signature, "21", "31", "00d7")).status, "malformed");
});

test("a header longer than allowed is malformed before its body comes", (t) => {
  const tooLong = (defaultMaxHeaderBytes - 15).toString(16).padStart(4, "0");
  const longest = (defaultMaxHeaderBytes - 16).toString(16).padStart(4, "0");
  t.is(decodeProxyHeader(bytesOf(signature, "21", "00", tooLong)).status, "malformed");
  t.is(decodeProxyHeader(bytesOf(signature, "21", "00", longest)).status, "more");
  t.is(decodeProxyHeader(bytesOf(signature, "20", "00", "ffff")).status, "malformed");
  t.is(decodeProxyHeader(bytesOf(signature, "20", "00", "ffff"), { maxBytes: 70000 }).status, "more");
  t.is(decodeProxyHeader(header("21", "11", addresses4), { maxBytes: 27 }).status, "malformed");
});

test("a TLV that does not end where the header ends is malformed", (t) => {
  for (const tail of ["02", "0200", "020001", "02000261", "ea0000e0", "ea000201e00004"]) {
    t.deepEqual(decodeProxyHeader(header("21", "11", addresses4, tail)), {
      status: "malformed",
      problem: "a TLV is cut off",
    });
  }
});

test("TLVs of other types are skipped", (t) => {
  const decoded = decodeProxyHeader(
    header("21", "11", addresses4, "010002" + "6832", "040003" + "000000", "200000", "ea0001ff", "0200016f", "ff0000"),
  );
  t.deepEqual(decoded, {
    status: "header",
    header: { version: 2, command: "proxy", source: client4, destination: server4, serverName: "o" },
    length: 12 + 4 + 12 + 5 + 6 + 3 + 4 + 4 + 3,
  });
});

test("another sender's TLV 0xe0 of another length is not an announcement id", (t) => {
  const decoded = decodeProxyHeader(header("21", "11", addresses4, tlv(0xe0, new Uint8Array(8))));
  t.true(decoded.status === "header" && decoded.header.announcementId === undefined);
});

test("a TLV that may stand once is malformed when it stands twice", (t) => {
  const checksum = tlv(0x03, new Uint8Array(4));
  for (const twice of [
    tlv(0x02, Buffer.from("a")),
    tlv(0x05, Buffer.from("a")),
    tlv(0xe0, new Uint8Array(4)),
    checksum,
  ]) {
    t.is(decodeProxyHeader(header("21", "00", twice, twice)).status, "malformed", twice);
  }
});

test("a server name or connection id that cannot be one is malformed", (t) => {
  for (const bad of [
    tlv(0x02, Buffer.from("")),
    tlv(0x02, Buffer.from("a\0b")),
    tlv(0x02, Buffer.from("a\r\nb")),
    tlv(0x02, Uint8Array.of(0xc3, 0x28)),
    tlv(0x05, Buffer.from("")),
    tlv(0x05, new Uint8Array(129)),
  ]) {
    t.is(decodeProxyHeader(header("21", "00", bad)).status, "malformed", bad);
  }
});

test("CRC-32C is the one of the specification", (t) => {
  t.is(crc32c(Buffer.from("123456789")), 0xe3069283);
  t.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
  t.is(crc32c(Buffer.from("12345\xff\xff89", "latin1"), 5, 7), crc32c(Buffer.from("12345\0\x0089", "latin1")));
});

test("a checksum is verified over the whole header with its own place as zero", (t) => {
  const bytes = header("21", "11", addresses4, tlv(0x03, new Uint8Array(4)), tlv(0x02, Buffer.from("a.example")));
  bytes.writeUInt32BE(crc32c(bytes), 16 + 12 + 3);
  t.like(decodeProxyHeader(Buffer.concat([bytes, Buffer.from("client")])), {
    status: "header",
    header: { serverName: "a.example" },
    length: bytes.length,
  });
  for (const at of [17, 27, 31, bytes.length - 1]) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 1;
    t.deepEqual(decodeProxyHeader(changed), { status: "malformed", problem: "the checksum is wrong" });
  }
  t.is(decodeProxyHeader(header("21", "00", tlv(0x03, new Uint8Array(3)))).status, "malformed");
});

test("no bytes make the reader throw, or read past what it was given", (t) => {
  const start = fc.constantFrom(
    bytesOf(signature, "21", "11"),
    bytesOf(signature, "21"),
    Buffer.from("PROXY TCP"),
    Buffer.alloc(0),
  );
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 300 }), (begin, rest) => {
      const bytes = Buffer.concat([begin, rest]);
      const decoded = decodeProxyHeader(bytes);
      if (decoded.status === "header" && decoded.length > bytes.length) t.fail();
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

test("a connection id is printed as it is only where that is harmless", (t) => {
  t.is(connectionIdText(Buffer.from("c-17")), "c-17");
  t.is(connectionIdText(Buffer.from("c\n17")), "630a3137");
  t.is(connectionIdText(Uint8Array.of(0xff, 0x00)), "ff00");
});
