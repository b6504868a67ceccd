import test from "ava";
import { type Deadline, deadlineIn, msLeft } from "../../src/base/deadline.js";
import { ProxyError } from "../../src/base/errors.js";
import { dialInTurn } from "../../src/private/dialling.js";
import type { Connecting, ResolvedAddress, Transport } from "../../src/transport/transport.js";
import { type FakeEndpoint, fakeEndpoint } from "./fake-endpoint.js";

/** A transport whose connects do what the address says. */
function scripted(t: { teardown(step: () => void): void }) {
  const dialled: { ip: string; deadline: Deadline; cancelled: boolean }[] = [];
  const endpoints: FakeEndpoint[] = [];
  const timers: NodeJS.Timeout[] = [];
  t.teardown(() => {
    for (const timer of timers) clearTimeout(timer);
  });
  const connect = (address: ResolvedAddress, deadline: Deadline): Connecting => {
    const ip = address.kind === "tcp" ? address.ip : address.path;
    const one = { ip, deadline, cancelled: false };
    dialled.push(one);
    let reject!: (error: ProxyError) => void;
    const connected = new Promise<FakeEndpoint>((resolve, fail) => {
      reject = fail;
      if (ip === "refused") fail(new ProxyError("connect_refused"));
      if (ip === "open") {
        const endpoint = fakeEndpoint();
        endpoints.push(endpoint);
        resolve(endpoint);
      }
      if (ip === "silent") timers.push(setTimeout(() => fail(new ProxyError(deadline.code)), msLeft(deadline)));
    });
    connected.catch(() => {});
    return {
      connected,
      cancel() {
        one.cancelled = true;
        reject(new ProxyError("closed_here"));
        endpoints.at(-1)?.destroy();
      },
    };
  };
  return { transport: { connect } as unknown as Transport, dialled, endpoints };
}

const addresses = (...ips: string[]): ResolvedAddress[] => ips.map((ip) => ({ kind: "tcp", ip, port: 1 }));
const common = { code: "dial_back_failed", what: "rendezvous" } as const;

test("addresses are tried in turn until one is connected, and whoever asked learns which", async (t) => {
  const { transport, dialled } = scripted(t);
  const worked: number[] = [];
  const dialling = dialInTurn(transport, {
    ...common,
    addresses: addresses("refused", "open", "open"),
    deadline: deadlineIn(5000, "offer_expired"),
    worked: (index) => worked.push(index),
  });
  t.truthy(await dialling.connected);
  t.deepEqual([dialled.length, worked], [2, [1]]);
});

test("where none can be reached, the last reason is told under the caller's code", async (t) => {
  const { transport } = scripted(t);
  const deadline = deadlineIn(5000, "offer_expired");
  const error = await t.throwsAsync(
    dialInTurn(transport, { ...common, addresses: addresses("refused"), deadline }).connected,
    { code: "dial_back_failed" },
  );
  t.regex(error!.message, /^rendezvous: .*refused/);
  await t.throwsAsync(dialInTurn(transport, { ...common, addresses: [], deadline }).connected, {
    message: /no address is known/,
  });
});

test("an address that does not answer leaves time for the others", async (t) => {
  const { transport, dialled } = scripted(t);
  const deadline = deadlineIn(300, "offer_expired");
  const dialling = dialInTurn(transport, { ...common, addresses: addresses("silent", "silent", "open"), deadline });
  t.truthy(await dialling.connected);
  t.is(dialled.length, 3);
  t.true(dialled[0]!.deadline.at <= deadline.at - 190);
  t.is(dialled[2]!.deadline.at, deadline.at, "the last one has what is left");
});

test("when the time is over nobody is tried", async (t) => {
  const { transport, dialled } = scripted(t);
  const deadline = deadlineIn(0, "offer_expired");
  await t.throwsAsync(
    dialInTurn(transport, { ...common, addresses: addresses("silent", "open"), deadline }).connected,
    { code: "dial_back_failed" },
  );
  t.is(dialled.length, 0);
});

test("cancelled, it gives up the connect under way and tries no other", async (t) => {
  const { transport, dialled } = scripted(t);
  const deadline = deadlineIn(5000, "offer_expired");
  const dialling = dialInTurn(transport, { ...common, addresses: addresses("silent", "open"), deadline });
  dialling.cancel();
  await t.throwsAsync(dialling.connected, { code: "offer_cancelled" });
  t.deepEqual(
    dialled.map(({ cancelled }) => cancelled),
    [true],
  );
});

test("cancelled in the moment in which it is connected, it leaves no endpoint and says so", async (t) => {
  const { transport, endpoints } = scripted(t);
  const deadline = deadlineIn(5000, "offer_expired");
  const dialling = dialInTurn(transport, { ...common, addresses: addresses("open"), deadline });
  dialling.cancel();
  await t.throwsAsync(dialling.connected, { code: "offer_cancelled" });
  t.deepEqual(endpoints[0]?.done, ["destroy"]);
});
