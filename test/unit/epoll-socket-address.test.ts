import { isIPv6 } from "node:net";
import test from "ava";
import fc from "fast-check";
import { readIpv6, writeIpv6 } from "../../src/base/ip-bytes.js";
import { afInet, afInet6, afUnix } from "../../src/transport/epoll/abi.js";
import {
  decodeSocketAddress,
  encodeSocketAddress,
  socketAddressBytes,
} from "../../src/transport/epoll/socket-address.js";

const port = fc.integer({ min: 0, max: 65535 });

/** What is to be seen of an address after it went through the system. */
function through(ip: string, at: number) {
  const encoded = encodeSocketAddress({ kind: "tcp", ip, port: at });
  return encoded === undefined ? undefined : decodeSocketAddress(encoded.bytes);
}

/** Eight groups, zeros more often than chance has it. */
const ipv6Bytes = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])));

test("every IPv4 address comes out as it went in", (t) => {
  fc.assert(
    fc.property(fc.ipV4(), port, (ip, at) => {
      t.deepEqual(through(ip, at), { family: "ipv4", address: ip, port: at });
      const { family, bytes, length } = encodeSocketAddress({ kind: "tcp", ip, port: at })!;
      t.deepEqual([family, length, bytes.length], [afInet, 16, socketAddressBytes]);
      t.deepEqual([...bytes.subarray(0, 8)], [afInet, 0, at >> 8, at & 0xff, ...ip.split(".").map(Number)]);
      t.true(bytes.subarray(8).every((byte) => byte === 0));
    }),
  );
});

test("every IPv6 address comes out as it went in, in its canonical form", (t) => {
  const isMapped = (bytes: Uint8Array) =>
    bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  fc.assert(
    fc.property(ipv6Bytes, port, (bytes, at) => {
      fc.pre(!isMapped(bytes));
      const text = readIpv6(bytes, 0);
      t.true(isIPv6(text), text);
      t.deepEqual(through(text, at), { family: "ipv6", address: text, port: at });
      const encoded = encodeSocketAddress({ kind: "tcp", ip: text, port: at })!;
      t.deepEqual([encoded.family, encoded.length], [afInet6, 28]);
      t.deepEqual(encoded.bytes.slice(8, 24), bytes);
    }),
  );
  fc.assert(
    fc.property(fc.ipV6(), port, (ip, at) => {
      const bytes = new Uint8Array(16);
      t.true(writeIpv6(ip, bytes, 0), ip);
      fc.pre(!isMapped(bytes));
      t.deepEqual(through(ip, at), { family: "ipv6", address: readIpv6(bytes, 0), port: at });
    }),
  );
});

test("an IPv4-mapped address is IPv4", (t) => {
  fc.assert(
    fc.property(fc.ipV4(), port, (ip, at) => {
      t.deepEqual(through(`::ffff:${ip}`, at), { family: "ipv4", address: ip, port: at });
    }),
  );
  t.like(through("0:0:0:0:0:FFFF:7f00:1", 9), { family: "ipv4", address: "127.0.0.1" });
});

test("a zone becomes the number of its interface, and is left out of the address", (t) => {
  const encoded = encodeSocketAddress({ kind: "tcp", ip: "fe80::1%eth7", port: 9 }, (name) =>
    name === "eth7" ? 0x01020304 : 0,
  )!;
  t.deepEqual([...encoded.bytes.subarray(24, 28)], [4, 3, 2, 1]);
  t.deepEqual(decodeSocketAddress(encoded.bytes), { family: "ipv6", address: "fe80::1", port: 9 });
  const unknown = encodeSocketAddress({ kind: "tcp", ip: "fe80::1%nowhere", port: 9 }, () => 0)!;
  t.deepEqual([...unknown.bytes.subarray(24, 28)], [0, 0, 0, 0]);
});

test("a unix path of up to 107 bytes stands behind its family, and ends with a zero", (t) => {
  for (let bytes = 1; bytes <= 107; bytes++) {
    const path = `/${"p".repeat(bytes - 1)}`;
    const encoded = encodeSocketAddress({ kind: "unix", path })!;
    t.deepEqual([encoded.family, encoded.length], [afUnix, 2 + bytes + 1]);
    t.is(Buffer.from(encoded.bytes.subarray(2, 2 + bytes)).toString(), path);
    t.true(encoded.bytes.subarray(2 + bytes).every((byte) => byte === 0));
    t.deepEqual(decodeSocketAddress(encoded.bytes), { family: "unix" });
  }
  const inTwoBytes = `/${"ä".repeat(53)}`;
  t.is(encodeSocketAddress({ kind: "unix", path: inTwoBytes })?.length, 2 + 107 + 1);
});

test("a text that is no IP address is refused", (t) => {
  for (const ip of [
    "",
    "localhost",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    ":",
    ":::",
    "1:2",
    "::g",
    "1::2::3",
  ]) {
    t.is(encodeSocketAddress({ kind: "tcp", ip, port: 1 }), undefined, ip);
  }
});
