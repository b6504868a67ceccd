import test from "ava";
import fc from "fast-check";
import { createEndpointRules } from "../../src/private/endpoint-rules.js";

const dialled = { host: "public.example.com", ip: "203.0.113.5" };

/** `host port` where a dial-back would go, or undefined. */
function judge(allowed: readonly string[], endpoint: string, mesh = dialled): string | undefined {
  const judged = createEndpointRules(allowed).judge(endpoint, mesh);
  return judged.status === "allowed" ? `${judged.host} ${judged.port}` : undefined;
}

test("the host that was dialled for the mesh is allowed, at the address that answered, on any port", (t) => {
  for (const endpoint of [":4434", "public.example.com:4434", "PUBLIC.Example.com:4434", "203.0.113.5:4434"]) {
    t.is(judge([], endpoint), "203.0.113.5 4434", endpoint);
  }
  t.is(judge([], "public.example.com.:4434"), "203.0.113.5 4434");
  t.is(judge([], "[::ffff:203.0.113.5]:4434"), "203.0.113.5 4434");
  t.is(judge([], "[2001:db8:0:0::5]:1", { host: "public", ip: "2001:db8::5" }), "2001:db8::5 1");
});

/** What a hostile public proxy might name to reach into the private proxy's network. */
const hostile = [
  "127.0.0.1:22",
  "localhost:22",
  "10.0.0.1:443",
  "[::1]:22",
  "[::ffff:127.0.0.1]:22",
  "[::ffff:7f00:1]:22",
  "[::127.0.0.1]:22",
  "[::]:22",
  "0.0.0.0:22",
  "2130706433:22",
  "0x7f000001:22",
  "0x7f.1:22",
  "127.1:22",
  "0177.0.0.1:22",
  "127.0.0.1.:22",
  "169.254.169.254:80",
  "[fe80::1%eth0]:22",
  "[fe80::1%25eth0]:22",
  "public.example.com.evil.example:4434",
  "evilpublic.example.com:4434",
  "public.example.com@10.0.0.1:4434",
  "public.example.com:4434@10.0.0.1:22",
  "public.example.com..:4434",
  "router.lan:80",
  "unix:/run/docker.sock",
  "unix:run/docker.sock",
  "//10.0.0.1:22",
  "http://10.0.0.1:22",
  "10.0.0.1:22:4434",
  "10.0.0.1:22\n:4434",
  " 10.0.0.1:22",
  "１０.0.0.1:22",
  "public.example.com\u0000.lan:22",
  ":0",
  ":65536",
  ":-1",
  ":",
  "",
  "public.example.com",
  "[]:4434",
  "[public.example.com]:4434",
];

for (const endpoint of hostile) {
  test(`${JSON.stringify(endpoint)} is refused, with the settings as they come and with a list of something else`, (t) => {
    t.is(judge([], endpoint), undefined);
    const elsewhere = ["198.51.100.0/24", "2001:db8::/32", "backup.example.com", "192.0.2.1:4434", "fd00::/8"];
    t.is(judge(elsewhere, endpoint), undefined);
  });
}

/** What the settings list, what a public proxy names, where that leads. */
const listed: readonly (readonly [rule: string, endpoint: string, leadsTo: string | undefined])[] = [
  ["backup.example.com", "backup.example.com:1", "backup.example.com 1"],
  ["Backup.Example.com", "BACKUP.example.com:1", "backup.example.com 1"],
  ["backup.example.com", "backup.example.com.:1", "backup.example.com 1"],
  ["backup.example.com", "a.backup.example.com:1", undefined],
  ["backup.example.com:4434", "backup.example.com:4434", "backup.example.com 4434"],
  ["backup.example.com:4434", "backup.example.com:4435", undefined],
  ["192.0.2.1", "192.0.2.1:1", "192.0.2.1 1"],
  ["192.0.2.1", "192.0.2.2:1", undefined],
  ["192.0.2.1", "[::ffff:192.0.2.1]:1", "192.0.2.1 1"],
  ["192.0.2.1:4434", "192.0.2.1:4434", "192.0.2.1 4434"],
  ["192.0.2.1:4434", "192.0.2.1:22", undefined],
  ["192.0.2.0/24", "192.0.2.255:1", "192.0.2.255 1"],
  ["192.0.2.0/24", "192.0.3.0:1", undefined],
  ["192.0.2.0/24", "[::ffff:192.0.2.9]:1", "192.0.2.9 1"],
  ["192.0.2.0/24:4434", "192.0.2.9:4434", "192.0.2.9 4434"],
  ["192.0.2.0/24:4434", "192.0.2.9:4435", undefined],
  ["192.0.2.0/24", "host.example.com:1", undefined],
  ["0.0.0.0/0", "[2001:db8::1]:1", undefined],
  ["0.0.0.0/0", "host.example.com:1", undefined],
  ["2001:db8::1", "[2001:db8::1]:1", "2001:db8::1 1"],
  ["2001:DB8:0::1", "[2001:db8::0:1]:1", "2001:db8::1 1"],
  ["[2001:db8::1]:4434", "[2001:db8::1]:4434", "2001:db8::1 4434"],
  ["[2001:db8::1]:4434", "[2001:db8::1]:1", undefined],
  ["[2001:db8::1]", "[2001:db8::1]:1", "2001:db8::1 1"],
  ["2001:db8::/32", "[2001:db8:ffff::1]:1", "2001:db8:ffff::1 1"],
  ["2001:db8::/32", "[2001:db9::1]:1", undefined],
  ["[2001:db8::/32]:4434", "[2001:db8::1]:4434", "2001:db8::1 4434"],
  ["[2001:db8::/32]:4434", "[2001:db8::1]:1", undefined],
  ["fe80::/10", "[fe80::1%eth0]:1", undefined],
  ["::/0", "10.0.0.1:1", undefined],
  ["::/0", "[::ffff:10.0.0.1]:1", undefined],
  ["::/0", "[2001:db8::1]:1", "2001:db8::1 1"],
];

for (const [rule, endpoint, leadsTo] of listed) {
  test(`with ${rule} listed, ${endpoint} ${leadsTo === undefined ? "is refused" : `leads to ${leadsTo}`}`, (t) => {
    t.is(judge([rule], endpoint), leadsTo);
  });
}

test("whatever a public proxy names is judged, and leads nowhere but to the host that was dialled", (t) => {
  const rules = createEndpointRules(["192.0.2.0/24", "2001:db8::/32", "backup.example.com:1"]);
  const pieces = [
    "[",
    "]",
    ":",
    ".",
    "%",
    "/",
    "::",
    "ffff",
    "10",
    "0",
    "1",
    "4434",
    "a",
    "-",
    "unix:",
    "\n",
    "\u0000",
  ];
  const text = fc.oneof(
    fc.array(fc.constantFrom(...pieces), { maxLength: 8 }).map((all) => all.join("")),
    fc.string(),
  );
  fc.assert(
    fc.property(text, (endpoint) => {
      const judged = rules.judge(endpoint, dialled);
      if (judged.status === "allowed") t.regex(judged.host, /^(203\.0\.113\.5|192\.0\.2\.\d+|2001:db8:.*)$/);
      t.pass();
    }),
    { numRuns: 2000 },
  );
});
