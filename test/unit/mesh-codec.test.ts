import test from "ava";
import fc from "fast-check";
import { ProxyError } from "../../src/base/errors.js";
import { decodeFromPrivate, decodeFromPublic, encodeFromPrivate, encodeFromPublic } from "../../src/mesh/codec.js";
import { Mesh } from "../../src/mesh/definition.js";
import type { FromPrivate__Output } from "../../src/mesh/generated/rendezvous/v1/FromPrivate.js";
import type { FromPublic__Output } from "../../src/mesh/generated/rendezvous/v1/FromPublic.js";
import type { FromPrivate, FromPublic } from "../../src/mesh/messages.js";

// Through real protobuf bytes, as they travel.
const { requestSerialize, requestDeserialize, responseSerialize, responseDeserialize } = Mesh.service.Attach;
const toPublic = (bytes: Buffer) => decodeFromPrivate(requestDeserialize(bytes) as FromPrivate__Output);
const toPrivate = (bytes: Buffer) => decodeFromPublic(responseDeserialize(bytes) as FromPublic__Output);
const wirePrivate = (wire: object) => requestSerialize(wire as never);
const wirePublic = (wire: object) => responseSerialize(wire as never);

/** Whole characters only: half a surrogate pair does not survive UTF-8. */
const anyText = fc.string({ unit: "grapheme", maxLength: 40 });
const anyName = fc.string({ unit: "grapheme-ascii", maxLength: 255 });
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const nonce = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const anyToken = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
const anyId = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString("hex"));
const type = <const T extends string>(name: T) => fc.constant(name);

const fromPrivate: fc.Arbitrary<FromPrivate> = fc.oneof(
  fc.record({
    type: type("hello"),
    hello: fc.record({
      protocolVersion: uint32,
      name: anyText,
      instance: anyId,
      softwareVersion: anyText,
      attachedTo: fc.array(anyId, { maxLength: 3 }),
    }),
  }),
  fc.record({
    type: type("announce"),
    announcementId: uint32,
    names: fc.array(anyName, { maxLength: 5 }),
    alpn: fc.array(anyText, { maxLength: 5 }),
    weight: fc.integer({ min: 1, max: 1000 }),
    priority: fc.integer({ min: 0, max: 1000 }),
  }),
  fc.record({ type: type("queued"), token: anyToken, msLeft: uint32 }),
  fc.record({
    type: type("poolState"),
    idle: uint32,
    wanted: fc.integer({ min: 0, max: 65_536 }),
    maxAgeMs: uint32,
    renew: fc.boolean(),
  }),
  fc.record({ type: type("withdraw"), announcementId: uint32 }),
  fc.record({
    type: type("offerReply"),
    token: anyToken,
    reason: fc.constantFrom(
      "target_unreachable" as const,
      "target_full" as const,
      "name_not_served" as const,
      "shutting_down" as const,
      "endpoint_refused" as const,
      "dial_back_failed" as const,
      "verdict_refused" as const,
    ),
  }),
  fc.record({ type: type("pong"), nonce }),
  fc.record({ type: type("leaving") }),
);

const anyOffer = fc.record({
  token: anyToken,
  announcementId: uint32,
  serverName: fc.option(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 253 }), { nil: undefined }),
  alpn: fc.array(anyText, { maxLength: 5 }),
  client: anyText,
  endpoint: uint32,
  msLeft: uint32,
  connectionId: anyText,
});

const fromPublic: fc.Arbitrary<FromPublic> = fc.oneof(
  fc.record({
    type: type("welcome"),
    welcome: fc.record({
      protocolVersion: uint32,
      nodeName: anyText,
      sessionId: anyId,
      rendezvousEndpoints: fc.array(anyText, { maxLength: 5 }),
      unansweredOffers: uint32,
      maxNames: uint32,
      attemptTimeoutMs: uint32,
      softwareVersion: anyText,
      nodeInstance: fc.oneof(fc.constant(""), anyId),
    }),
  }),
  fc.record({
    type: type("announceResult"),
    announcementId: uint32,
    results: fc.array(
      fc.record({
        name: anyName,
        status: fc.constantFrom(
          "accepted" as const,
          "denied" as const,
          "taken" as const,
          "full" as const,
          "invalid" as const,
        ),
        detail: anyText,
      }),
      { maxLength: 5 },
    ),
  }),
  fc.record({ type: type("offers"), offers: fc.array(anyOffer, { maxLength: 5 }) }),
  fc.record({ type: type("cancelOffer"), token: anyToken }),
  fc.record({ type: type("poolGrant"), tokens: fc.array(anyToken, { maxLength: 5 }), msLeft: uint32 }),
  fc.record({ type: type("ping"), nonce }),
  fc.record({ type: type("drain") }),
);

test("what a private proxy says arrives as it was said", (t) => {
  fc.assert(
    fc.property(fromPrivate, (message) => t.deepEqual(toPublic(wirePrivate(encodeFromPrivate(message))), message)),
  );
});

test("what a public proxy says arrives as it was said", (t) => {
  fc.assert(
    fc.property(fromPublic, (message) => t.deepEqual(toPrivate(wirePublic(encodeFromPublic(message))), message)),
  );
});

test("a member of the oneof that this version does not know is ignored, on both sides", (t) => {
  const fieldOfTheFuture = Buffer.from([0x82, 0x06, 0x02, 0x08, 0x01]); // field 96, a message
  t.is(toPublic(fieldOfTheFuture), undefined);
  t.is(toPrivate(fieldOfTheFuture), undefined);
  t.is(toPublic(Buffer.alloc(0)), undefined);
});

test("an announcement of an older private proxy, which says no weight, has the weight 1", (t) => {
  t.like(toPublic(wirePrivate({ announce: { announcementId: 1, names: ["a.test"] } })), { weight: 1, priority: 0 });
});

test("a weight, a priority or a pool beyond what is allowed counts as what is allowed", (t) => {
  const most = 2 ** 32 - 1;
  const announce = { announcementId: 1, names: ["a.test"], weight: most, priority: most };
  t.like(toPublic(wirePrivate({ announce })), { weight: 1000, priority: 1000 });
  t.like(toPublic(wirePrivate({ poolState: { idle: most, wanted: most } })), { wanted: 65_536 });
});

test("a field that this version does not know is ignored within a message that it knows", (t) => {
  const withdraw = Buffer.from([0x1a, 0x06, 0x08, 0x05, 0x82, 0x06, 0x01, 0x00]);
  t.deepEqual(toPublic(withdraw), { type: "withdraw", announcementId: 5 });
});

test("a reason or status of a later version means the most careful one of this version", (t) => {
  const token = Buffer.alloc(32);
  t.like(toPublic(wirePrivate({ offerReply: { token, reason: 99 } })), { reason: "verdict_refused" });
  const results = [{ name: "a.test", status: 99, detail: "" }];
  t.like(toPrivate(wirePublic({ announceResult: { announcementId: 1, results } })), {
    results: [{ name: "a.test", status: "denied", detail: "" }],
  });
});

const many = (length: number, of = "a.test") => Array.from({ length }, () => of);
const hello = { protocolVersion: 1, name: "", instanceId: Buffer.alloc(16), softwareVersion: "" };
const welcome = { nodeName: "", sessionId: Buffer.alloc(16), rendezvousEndpoints: [], softwareVersion: "" };
const offer = { token: Buffer.alloc(32), serverName: "a.test", client: "", connectionId: "" };

const refusedFromPrivate: Record<string, object> = {
  "an instance id of 15 bytes": { hello: { ...hello, instanceId: Buffer.alloc(15) } },
  "an instance id of 17 bytes": { hello: { ...hello, instanceId: Buffer.alloc(17) } },
  "no instance id": { hello: { ...hello, instanceId: Buffer.alloc(0) } },
  "a name of a private proxy without end": { hello: { ...hello, name: "x".repeat(100_000) } },
  "a reply's token of 31 bytes": { offerReply: { token: Buffer.alloc(31) } },
  "a reply's token of 33 bytes": { offerReply: { token: Buffer.alloc(33) } },
  "a protocol name without end": { announce: { names: ["a.test"], alpn: ["x".repeat(1025)] } },
  "more protocols than anybody speaks": { announce: { names: ["a.test"], alpn: many(65) } },
  "more names than could be answered": { announce: { names: many(50_001), alpn: [] } },
};

for (const [what, wire] of Object.entries(refusedFromPrivate)) {
  test(`${what} breaks the protocol`, (t) => {
    t.throws(() => toPublic(wirePrivate(wire)), { instanceOf: ProxyError, message: /expected|longer|at most/ });
  });
}

const refusedFromPublic: Record<string, object> = {
  "a session id of 15 bytes": { welcome: { ...welcome, sessionId: Buffer.alloc(15) } },
  "no session id": { welcome: { ...welcome, sessionId: Buffer.alloc(0) } },
  "more endpoints than anybody has": { welcome: { ...welcome, rendezvousEndpoints: many(65) } },
  "an endpoint without end": { welcome: { ...welcome, rendezvousEndpoints: ["x".repeat(1025)] } },
  "an offer's token of 31 bytes": { offers: { offers: [offer, { ...offer, token: Buffer.alloc(31) }] } },
  "an offer's name without end": { offers: { offers: [{ ...offer, serverName: "x".repeat(1025) }] } },
  "a granted token of 31 bytes": { poolGrant: { tokens: [Buffer.alloc(31)] } },
  "a cancelled token of 0 bytes": { cancelOffer: { token: Buffer.alloc(0) } },
  "a result's detail without end": {
    announceResult: { announcementId: 1, results: [{ name: "", status: 1, detail: "x".repeat(1025) }] },
  },
};

for (const [what, wire] of Object.entries(refusedFromPublic)) {
  test(`${what} breaks the protocol`, (t) => {
    t.throws(() => toPrivate(wirePublic(wire)), { instanceOf: ProxyError, message: /expected|longer|at most/ });
  });
}

test("a name that is too long is not refused with its whole announcement, it gets its own answer", (t) => {
  const message = toPublic(wirePrivate({ announce: { announcementId: 1, names: ["x".repeat(100_000), "a.test"] } }));
  t.like(message, { type: "announce", names: ["x".repeat(255), "a.test"] });
});
