import { isIP } from "node:net";
import test from "ava";
import fc from "fast-check";
import { formatAddress, isAddress, maxUnixPathBytes, parseAddress } from "../../src/base/address.js";

const port = fc.integer({ min: 0, max: 65_535 });
const label = fc.stringMatching(/^[a-z][a-z0-9_-]{0,10}$/);
const hostName = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
const address = fc.oneof(
  fc.record({ kind: fc.constant("tcp" as const), host: fc.oneof(hostName, fc.ipV4(), fc.ipV6()), port }),
  fc.record({
    kind: fc.constant("unix" as const),
    path: fc.string({ unit: "grapheme", maxLength: 20 }).map((rest) => `/${rest.replaceAll("\0", "")}`),
  }),
);

test("an address written out is read as what it was", (t) => {
  fc.assert(
    fc.property(address, (one) => {
      const expected = one.kind === "tcp" ? { ...one, host: one.host.toLowerCase() } : one;
      t.deepEqual(parseAddress(formatAddress(one)), expected);
    }),
  );
});

test("whatever the text, the answer is an address that can be dialled or one problem, never a throw", (t) => {
  const pieces = [
    "[",
    "]",
    ":",
    ".",
    "%",
    "/",
    "::1",
    "127",
    "0",
    "1",
    "65535",
    "65536",
    "a",
    "-",
    "unix:",
    "\n",
    "\0",
    "é",
  ];
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom(...pieces), { maxLength: 8 }).map((all) => all.join("")),
  );
  fc.assert(
    fc.property(text, fc.boolean(), (one, hostOptional) => {
      const parsed = parseAddress(one, { hostOptional });
      if (!isAddress(parsed)) return t.true(parsed.problem.length > 0);
      if (parsed.kind === "unix") return t.true(parsed.path.startsWith("/"));
      t.true(parsed.port >= 0 && parsed.port <= 65_535);
      if (parsed.host === "") return t.true(hostOptional);
      if (isIP(parsed.host) !== 0) return t.pass();
      t.regex(parsed.host, /^[a-z0-9_.-]+$/);
      return t.notRegex(parsed.host, /^[\d.]+$/, "what looks like an IPv4 address is one");
    }),
    { numRuns: 2000 },
  );
});

test("what is wrong with an address is said", (t) => {
  const cases: [string, RegExp][] = [
    ["", /expected host:port/],
    ["host", /expected host:port/],
    ["host:", /expected host:port/],
    ["host:65536", /not in 0-65535/],
    ["host:999999", /expected host:port/],
    ["host:-1", /expected host:port/],
    [":80", /host is missing/],
    ["::1:80", /expected host:port/],
    ["[::1]", /expected host:port/],
    ["[host]:80", /not an IPv6 address/],
    ["[]:80", /not an IPv6 address/],
    ["256.0.0.1:80", /not an IPv4 address/],
    ["127.1:80", /not an IPv4 address/],
    ["2130706433:80", /not an IPv4 address/],
    ["ho st:80", /not a host name/],
    ["host\n:80", /not a host name/],
    ["user@host:80", /not a host name/],
    ["unix:relative", /absolute path/],
    ["unix:", /absolute path/],
  ];
  for (const [text, problem] of cases) {
    const parsed = parseAddress(text);
    t.regex(isAddress(parsed) ? "none" : parsed.problem, problem, text);
  }
});

test("a unix path may be as long as the system allows, in bytes", (t) => {
  const longest = `/${"x".repeat(maxUnixPathBytes - 1)}`;
  t.true(isAddress(parseAddress(`unix:${longest}`)));
  t.false(isAddress(parseAddress(`unix:${longest}x`)));
  t.false(isAddress(parseAddress(`unix:/${"é".repeat(54)}`)));
});

test("a zero byte in a unix path is refused: the system would end the path there", (t) => {
  t.false(isAddress(parseAddress("unix:/run/a\0b")));
});
