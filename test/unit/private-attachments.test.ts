import test, { type ExecutionContext } from "ava";
import type { FromPrivate, Welcome } from "../../src/mesh/messages.js";
import type { Attachment, AttachmentState } from "../../src/private/attachment.js";
import { type Attachments, createAttachments, type PublicPlace } from "../../src/private/attachments.js";
import { createKnownAddresses } from "../../src/private/known-addresses.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { until } from "../harness/until.js";

assertNothingLeft(test);

const free = () => false;

test("a look-up that finds nothing changes nothing", (t) => {
  const known = createKnownAddresses(() => 0);
  known.heard(["192.0.2.1", "192.0.2.2"], free);
  known.heard([], free);
  t.deepEqual(known.ips, ["192.0.2.1", "192.0.2.2"]);
});

test("an address that nothing is attached to is gone with the first answer without it", (t) => {
  const known = createKnownAddresses(() => 0);
  known.heard(["192.0.2.1", "192.0.2.2"], free);
  known.heard(["192.0.2.2", "192.0.2.3"], free);
  t.deepEqual(known.ips, ["192.0.2.2", "192.0.2.3"]);
});

test("an address in use is gone when no answer has had it for 20 s", (t) => {
  let now = 0;
  const known = createKnownAddresses(() => now);
  known.heard(["192.0.2.1", "192.0.2.2"], () => true);
  now = 19_999;
  known.heard(["192.0.2.2"], () => true);
  t.deepEqual(known.ips, ["192.0.2.1", "192.0.2.2"]);
  known.heard(["192.0.2.1"], () => true);
  now = 39_998;
  known.heard(["192.0.2.2"], () => true);
  t.deepEqual(known.ips, ["192.0.2.1", "192.0.2.2"]);
  now = 39_999;
  known.heard(["192.0.2.2"], () => true);
  t.deepEqual(known.ips, ["192.0.2.2"]);
});

test("of a name with thousands of addresses 32 are known, and stay the same", (t) => {
  const known = createKnownAddresses(() => 0);
  const many = Array.from({ length: 5000 }, (_, n) => `10.0.${n >> 8}.${n & 255}`);
  known.heard(many, free);
  const first = known.ips;
  t.is(first.length, 32);
  known.heard(many.toReversed(), free);
  t.deepEqual(known.ips, first);
});

/** An attachment on paper: the test says how it is. */
interface Paper extends PublicPlace {
  state: AttachmentState;
  readonly sent: FromPrivate["type"][];
  stopped: boolean;
  woken: number;
  checked: number;
}

const attached: AttachmentState = { state: "attached", welcome: {} as Welcome, since: new Date(0) };

/** What names lead to is in `records`; every place that was opened is in `opened`, those there are in `now`. */
function following(t: ExecutionContext, publics: readonly string[], records: Record<string, string[]>) {
  const opened: Paper[] = [];
  const unresolved: string[] = [];
  let lookups = 0;
  const attachments: Attachments<{ paper: Paper; attachment: Attachment; leaving(): void; gone(): void }> =
    createAttachments({
      publics: publics.map((host) => ({ host, port: 4435 })),
      reconnect: { minMs: 1, maxMs: 5 },
      lookupIntervalMs: 5,
      now: () => performance.now(),
      async lookup(host) {
        lookups++;
        return records[host] ?? [];
      },
      unresolved: ({ host }) => unresolved.push(host),
      open(place) {
        const paper: Paper = { ...place, state: attached, sent: [], stopped: false, woken: 0, checked: 0 };
        opened.push(paper);
        const attachment: Attachment = {
          draining: [],
          get state() {
            return paper.state;
          },
          send: ({ type }) => void paper.sent.push(type),
          check: () => void paper.checked++,
          wake: () => void paper.woken++,
          stopReconnecting() {},
          stop: async () => {
            paper.stopped = true;
          },
        };
        return { paper, attachment, leaving() {}, gone() {} };
      },
    });
  t.teardown(() => attachments.stop());
  const now = () => attachments.all().map(({ paper: { host, ip } }) => `${host} ${ip}`);
  return {
    attachments,
    opened,
    unresolved,
    now,
    /** Waits until every name has been looked up once more, from beginning to end. */
    async lookedUp() {
      const enough = lookups + 2 * publics.length;
      await until(() => lookups >= enough);
    },
  };
}

test("each address of a name is attached to, and one that appears later, too", async (t) => {
  const records: Record<string, string[]> = { "public.test": ["192.0.2.1", "2001:db8::1"] };
  const { now } = following(t, ["public.test"], records);
  await until(() => now().length === 2);
  t.deepEqual(now(), ["public.test 192.0.2.1", "public.test 2001:db8::1"]);
  records["public.test"]!.push("192.0.2.2");
  await until(() => now().length === 3);
  t.is(now()[2], "public.test 192.0.2.2");
});

test("a name server that is down ends nothing, nor does an answer that lacks an address once", async (t) => {
  const records: Record<string, string[]> = { "public.test": ["192.0.2.1", "192.0.2.2"] };
  const { now, opened, lookedUp } = following(t, ["public.test"], records);
  await until(() => now().length === 2);
  records["public.test"] = [];
  await lookedUp();
  t.is(now().length, 2);
  records["public.test"] = ["192.0.2.2"];
  await lookedUp();
  t.is(now().length, 2);
  t.deepEqual(
    opened.flatMap(({ sent }) => sent),
    [],
  );
});

test("an address that is gone and does not answer is given up, and attached to again when it is back", async (t) => {
  const records: Record<string, string[]> = { "public.test": ["192.0.2.1"] };
  const { now, opened } = following(t, ["public.test"], records);
  await until(() => now().length === 1);
  opened[0]!.state = { state: "waiting", why: "refused", retryAt: new Date(0) };
  records["public.test"] = ["192.0.2.2"];
  await until(() => now().join() === "public.test 192.0.2.2");
  t.true(opened[0]!.stopped);
  records["public.test"] = ["192.0.2.1", "192.0.2.2"];
  await until(() => opened.length === 3);
  t.is(opened[2]!.ip, "192.0.2.1");
});

test("an address to which two names lead is attached to once, and as long as one of them leads there", async (t) => {
  const records: Record<string, string[]> = { "a.test": ["192.0.2.1"], "b.test": ["192.0.2.1", "192.0.2.2"] };
  const { now, opened, lookedUp } = following(t, ["a.test", "b.test"], records);
  await until(() => now().length === 2);
  await lookedUp();
  t.is(opened.length, 2);
  t.deepEqual(opened.map(({ ip }) => ip).toSorted(), ["192.0.2.1", "192.0.2.2"]);
  const shared = opened.find(({ ip }) => ip === "192.0.2.1")!;
  shared.state = { state: "waiting", why: "refused", retryAt: new Date(0) };
  records["a.test"] = ["192.0.2.3"];
  await until(() => now().length === 3);
  t.false(shared.stopped);
  records["b.test"] = ["192.0.2.2"];
  await until(() => shared.stopped);
});

test("a session that is no longer wanted is left in order: told first, and ended after a while", async (t) => {
  let now = 0;
  const records = { "public.test": ["192.0.2.1"] };
  const opened: { sent: string[]; stopped: boolean }[] = [];
  const attachments = createAttachments({
    publics: [{ host: "public.test", port: 1 }],
    reconnect: { minMs: 1, maxMs: 5 },
    lookupIntervalMs: 5,
    now: () => now,
    lookup: async () => records["public.test"],
    unresolved() {},
    open() {
      const one = { sent: [] as string[], stopped: false };
      opened.push(one);
      const attachment: Attachment = {
        state: attached,
        draining: [],
        send: ({ type }) => void one.sent.push(type),
        check() {},
        wake() {},
        stopReconnecting() {},
        stop: async () => {
          one.stopped = true;
        },
      };
      return { attachment, leaving: () => void one.sent.push("told"), gone() {} };
    },
  });
  t.teardown(() => attachments.stop());
  await until(() => opened.length === 1);
  records["public.test"] = ["192.0.2.2"];
  now = 20_000;
  await until(() => opened[0]!.sent.length > 1);
  t.deepEqual(opened[0], { sent: ["told", "leaving"], stopped: false });
  t.is(attachments.all().length, 2);
  await until(() => opened[0]!.stopped);
  await until(() => attachments.all().length === 1);
  t.deepEqual(opened[0]!.sent, ["told", "leaving"]);
});

test("a name without an address is told of, and asked for again and again", async (t) => {
  const records: Record<string, string[]> = {};
  const { attachments, now, unresolved } = following(t, ["public.test"], records);
  t.like(attachments.missing(), [{ host: "public.test", port: 4435, why: undefined }]);
  await until(() => unresolved.length >= 3);
  t.like(attachments.missing(), [{ why: "public.test cannot be looked up" }]);
  records["public.test"] = ["192.0.2.1"];
  await until(() => now().length === 1);
  t.deepEqual(attachments.missing(), []);
});

test("a loss wakes who stands by, and a check asks everybody", async (t) => {
  const { attachments, now, opened } = following(t, ["192.0.2.1", "192.0.2.2"], {
    "192.0.2.1": ["192.0.2.1"],
    "192.0.2.2": ["192.0.2.2"],
  });
  await until(() => now().length === 2);
  attachments.lost();
  attachments.check();
  t.deepEqual(
    opened.map(({ woken, checked }) => [woken, checked]),
    [
      [1, 1],
      [1, 1],
    ],
  );
  attachments.stopReconnecting();
  attachments.lost();
  t.is(opened[0]!.woken, 1);
});
