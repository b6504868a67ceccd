import test from "ava";
import fc from "fast-check";
import type { ProxyPeer } from "../../src/rendezvous/proxy-header.js";
import { decodeProxyHeader } from "../../src/rendezvous/proxy-protocol.js";
import { encodeProxyV1 } from "../../src/rendezvous/proxy-v1.js";

const decode = (text: string) => decodeProxyHeader(Buffer.from(text, "latin1"));
const encode = (source: ProxyPeer, destination: ProxyPeer) =>
  Buffer.from(encodeProxyV1({ source, destination })).toString();

const client4 = { family: "ipv4", address: "192.0.2.7", port: 50000 } as const;
const server4 = { family: "ipv4", address: "198.51.100.1", port: 443 } as const;
const client6 = { family: "ipv6", address: "2001:db8::7", port: 50000 } as const;
const server6 = { family: "ipv6", address: "2001:db8::1", port: 443 } as const;

test("version 1 is written as the specification's examples are", (t) => {
  t.is(encode(client4, server4), "PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n");
  t.is(encode(client6, server6), "PROXY TCP6 2001:db8::7 2001:db8::1 50000 443\r\n");
});

test("version 1 says UNKNOWN where it has no word for the addresses", (t) => {
  for (const [source, destination] of [
    [client4, server6],
    [client6, server4],
    [{ family: "unix" }, server4],
    [client4, { family: "unix" }],
    [{ ...client4, address: "192.0.2.7\r\nX" }, server4],
    [{ ...client4, address: "" }, server4],
  ] as [ProxyPeer, ProxyPeer][]) {
    t.is(encode(source, destination), "PROXY UNKNOWN\r\n");
  }
});

test("a zone never reaches the wire, and a mapped address stays what it is", (t) => {
  t.is(
    encode({ ...client6, address: "fe80::1%eth0" }, { ...server6, address: "::ffff:192.0.2.1" }),
    "PROXY TCP6 fe80::1 ::ffff:192.0.2.1 50000 443\r\n",
  );
});

test("the longest addresses stay within 107 bytes", (t) => {
  const longest = { family: "ipv6", address: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", port: 65535 } as const;
  const line = encode(longest, longest);
  t.true(line.length <= 107, `${line.length}`);
  t.like(decode(line), { status: "header", header: { source: longest, destination: longest } });
});

test("a version 1 line cut at any byte asks for more, and what follows it is left alone", (t) => {
  for (const line of [
    "PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n",
    "PROXY TCP6 2001:db8::7 2001:db8::1 50000 443\r\n",
    "PROXY UNKNOWN\r\n",
    "PROXY UNKNOWN ffff:f... whatever 1 2 3\r\n",
  ]) {
    for (let cut = 0; cut < line.length; cut += 1) t.is(decode(line.slice(0, cut)).status, "more", line.slice(0, cut));
    t.like(decode(`${line}\x16\x03\x01`), { status: "header", length: line.length });
  }
});

test("UNKNOWN gives a header without addresses, whatever stands on its line", (t) => {
  t.deepEqual(decode("PROXY UNKNOWN 1.2.3.4 5.6.7.8 1 2\r\n"), {
    status: "header",
    header: { version: 1, command: "proxy" },
    length: 35,
  });
});

test("what begins like no header is known at its first wrong byte", (t) => {
  for (const wrong of ["G", "\x16", "p", "PROXY\t", "PROXY TCP5", "PROXY U ", "PROXY UNKNOWNX", "PROXY  "]) {
    t.is(decode(wrong.slice(0, -1)).status, "more", wrong);
    t.is(decode(wrong).status, "malformed", wrong);
  }
});

test("a version 1 line that bends the grammar is malformed", (t) => {
  for (const line of [
    "PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 50000 443 \r\n",
    "PROXY TCP4 192.0.2.7  198.51.100.1 50000 443\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 50000\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 50000 443 1\r\n",
    "PROXY TCP4 192.0.2.07 198.51.100.1 50000 443\r\n",
    "PROXY TCP4 192.0.2.256 198.51.100.1 50000 443\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 050000 443\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n",
    "PROXY TCP4 2001:db8::7 2001:db8::1 50000 443\r\n",
    "PROXY TCP6 192.0.2.7 198.51.100.1 50000 443\r\n",
    "PROXY TCP6 fe80::1%1 fe80::2 50000 443\r\n",
    "PROXY TCP4 192.0.2.7\x00 198.51.100.1 50000 443\r\n",
    "PROXY TCP4 \r\n",
    "PROXY UNKNOWN \x80\r\n",
  ]) {
    t.is(decode(line).status, "malformed", JSON.stringify(line));
  }
});

test("a line without an end is malformed at its 107th byte", (t) => {
  const endless = "PROXY UNKNOWN ".padEnd(200, "x");
  t.is(decode(endless.slice(0, 106)).status, "more");
  t.is(decode(endless.slice(0, 107)).status, "malformed");
  t.is(decode(`${endless.slice(0, 106)}\r`).status, "malformed");
  t.like(decode(`${endless.slice(0, 105)}\r\n`), { status: "header", length: 107 });
});

test("what was encoded as version 1 is decoded again", (t) => {
  const port = fc.integer({ min: 0, max: 65535 });
  const ends = fc.oneof(
    fc.tuple(fc.constant("ipv4" as const), fc.ipV4(), fc.ipV4(), port, port),
    fc.tuple(fc.constant("ipv6" as const), fc.ipV6(), fc.ipV6(), port, port),
  );
  fc.assert(
    fc.property(ends, ([family, from, to, fromPort, toPort]) => {
      const source = { family, address: from.toLowerCase(), port: fromPort };
      const destination = { family, address: to.toLowerCase(), port: toPort };
      const line = encodeProxyV1({ source, destination });
      t.deepEqual(decodeProxyHeader(line), {
        status: "header",
        header: { version: 1, command: "proxy", source, destination },
        length: line.length,
      });
    }),
  );
});
