import test from "ava";
import { ProxyError } from "../../src/base/errors.js";
import { clearClientTables, createClientTables, createClientTallies } from "../../src/public/client-tallies.js";
import type { EndpointAddress } from "../../src/transport/endpoint.js";

function from(address: string, port = 50_000): EndpointAddress {
  return { family: address.includes(":") ? "ipv6" : "ipv4", address, port };
}

test("connections count by IPv4 address, however it is written, and by the /64 of an IPv6 address", (t) => {
  const same = [
    ["192.0.2.7", "192.0.2.7"],
    ["192.0.2.7", "::ffff:192.0.2.7"],
    ["192.0.2.7", "::ffff:c000:207"],
    ["2001:db8::1", "2001:db8:0:0:ffff::2"],
    ["fe80::1%eth0", "fe80::2%eth1"],
  ] as const;
  const different = [
    ["192.0.2.7", "192.0.2.8"],
    ["2001:db8::1", "2001:db8:0:1::1"],
    ["192.0.2.7", "::192.0.2.7"],
    ["::1", "127.0.0.1"],
    ["192.0.2.7", "64:ff9b::192.0.2.7"],
  ] as const;
  for (const [one, other] of same) {
    const tallies = createClientTallies(createClientTables(1, 100), 0);
    tallies.enterAddress(from(one), 1);
    t.throws(
      () => tallies.enterAddress(from(other, 1), 1),
      { instanceOf: ProxyError, code: "client_address_full" },
      other,
    );
  }
  for (const [one, other] of different) {
    const tallies = createClientTallies(createClientTables(1, 100), 0);
    tallies.enterAddress(from(one), 1);
    t.notThrows(() => tallies.enterAddress(from(other), 1), `${one} ${other}`);
  }
});

test("who comes over a unix socket has no address to be counted by", (t) => {
  const tallies = createClientTallies(createClientTables(1, 100), 0);
  for (let i = 0; i < 3; i++) t.is(tallies.enterAddress({ family: "unix" }, 1), undefined);
});

test("connections count by server name, those without one together", (t) => {
  const tallies = createClientTallies(createClientTables(1, 100), 0);
  const place = tallies.enterName("a.test", 1);
  t.throws(() => tallies.enterName("a.test", 1), { instanceOf: ProxyError, code: "name_full" });
  tallies.enterName("b.test", 1);
  tallies.enterName(undefined, 1);
  t.throws(() => tallies.enterName(undefined, 1), { instanceOf: ProxyError, code: "name_full" });
  tallies.leaveName(place);
  t.notThrows(() => tallies.enterName("a.test", 1));
});

test("a name and an address are not counted together, and a worker that is gone counts for nothing", (t) => {
  const tables = createClientTables(2, 100);
  const [first, second] = [createClientTallies(tables, 0), createClientTallies(tables, 1)];
  first.enterAddress(from("192.0.2.7"), 1);
  first.enterName("a.test", 1);
  t.throws(() => second.enterAddress(from("192.0.2.7"), 1));
  t.throws(() => second.enterName("a.test", 1));
  clearClientTables(tables, 0);
  second.enterAddress(from("192.0.2.7"), 1);
  second.enterName("a.test", 1);
  // The one in its place begins at nothing, and sees what the others have.
  const replacement = createClientTallies(tables, 0);
  t.throws(() => replacement.enterAddress(from("192.0.2.7"), 1));
  t.notThrows(() => replacement.enterAddress(from("192.0.2.7"), 2));
});
