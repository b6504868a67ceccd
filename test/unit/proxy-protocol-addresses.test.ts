import { isIPv4, isIPv6 } from "node:net";
import test from "ava";
import fc from "fast-check";
import { readIpv4, readIpv6, writeIpv4, writeIpv6 } from "../../src/base/ip-bytes.js";

const sixteen = () => new Uint8Array(16).fill(0xee);

test("addresses are taken and refused exactly as node:net does", (t) => {
  const nearly = fc.string({
    unit: fc.constantFrom("0", "1", "a", "F", ":", "::", ".", "255", "256", "g"),
    maxLength: 12,
  });
  const groups = fc
    .array(fc.constantFrom("0", "12", "fFfF", "00001", "", "1.2.3.4", "1.2.3"), { maxLength: 9 })
    .map((parts) => parts.join(":"));
  fc.assert(
    fc.property(fc.oneof(nearly, groups, fc.ipV4(), fc.ipV6()), (text) => {
      t.is(writeIpv4(text, sixteen(), 0), isIPv4(text), `IPv4 ${text}`);
      t.is(writeIpv6(text, sixteen(), 0), isIPv6(text), `IPv6 ${text}`);
    }),
    { numRuns: 3000 },
  );
});

test("sixteen bytes printed and read again are the same", (t) => {
  const sparse = fc.array(fc.constantFrom(0, 0, 0, 1, 0xff), { minLength: 16, maxLength: 16 });
  fc.assert(
    fc.property(fc.oneof(sparse, fc.array(fc.nat(255), { minLength: 16, maxLength: 16 })), (bytes) => {
      const into = sixteen();
      t.true(writeIpv6(readIpv6(Uint8Array.from(bytes), 0), into, 0));
      t.deepEqual([...into], bytes);
    }),
  );
});

test("four bytes printed and read again are the same", (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat(255), { minLength: 4, maxLength: 4 }), (bytes) => {
      const into = new Uint8Array(4);
      t.true(writeIpv4(readIpv4(Uint8Array.from(bytes), 0), into, 0));
      t.deepEqual([...into], bytes);
    }),
  );
});

test("a zone is left out and an embedded IPv4 address is read", (t) => {
  const into = sixteen();
  t.true(writeIpv6("fe80::1%eth0", into, 0));
  t.is(readIpv6(into, 0), "fe80::1");
  t.true(writeIpv6("64:ff9b::192.0.2.1", into, 0));
  t.is(readIpv6(into, 0), "64:ff9b::c000:201");
});
