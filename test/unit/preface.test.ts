import test from "ava";
import fc from "fast-check";
import { ProxyError } from "../../src/base/errors.js";
import { reasons } from "../../src/base/reasons.js";
import { decodePreface, encodePreface, prefaceBytes } from "../../src/rendezvous/preface.js";
import { createToken, tokenBytes, tokenDigest, tokenWorker } from "../../src/rendezvous/token.js";
import { decodeVerdict, encodeVerdict, type Verdict } from "../../src/rendezvous/verdict.js";

const token = Uint8Array.from({ length: 32 }, (_, index) => index);

test("a preface is written byte for byte as the wire format says", (t) => {
  const expected = [
    "52445650", // "RDVP"
    "01", // version
    "01", // kind: claim
    "0000", // reserved
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", // token
  ].join("");
  t.is(Buffer.from(encodePreface({ kind: "claim", token })).toString("hex"), expected);
  t.is(
    Buffer.from(encodePreface({ kind: "park", token })).toString("hex"),
    expected.replace("5650" + "0101", "56500102"),
  );
});

test("what was encoded is decoded again", (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom("claim" as const, "park" as const),
      fc.uint8Array({ minLength: tokenBytes, maxLength: tokenBytes }),
      (kind, anyToken) => {
        t.deepEqual(decodePreface(encodePreface({ kind, token: anyToken })), { status: "ok", kind, token: anyToken });
      },
    ),
  );
});

test("a change of any bit before the token makes a preface malformed, but for the other kind", (t) => {
  for (let bit = 0; bit < 64; bit += 1) {
    const bytes = encodePreface({ kind: "claim", token });
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    t.is(decodePreface(bytes).status, "malformed", `bit ${bit}`);
  }
  const parked = encodePreface({ kind: "claim", token });
  parked[5] = 2;
  t.like(decodePreface(parked), { status: "ok", kind: "park" });
});

test("a preface of any other length is malformed", (t) => {
  const bytes = encodePreface({ kind: "park", token });
  for (let length = 0; length < prefaceBytes; length += 1) {
    t.is(decodePreface(bytes.subarray(0, length)).status, "malformed");
  }
  t.is(decodePreface(new Uint8Array([...bytes, 0])).status, "malformed");
});

test("a preface is read from the middle of a buffer, and its token outlives the buffer", (t) => {
  const shared = Buffer.alloc(100, 0xee);
  shared.set(encodePreface({ kind: "claim", token }), 13);
  const decoded = decodePreface(shared.subarray(13, 13 + prefaceBytes));
  shared.fill(0);
  t.deepEqual(decoded, { status: "ok", kind: "claim", token });
});

test("a token of another length cannot be put into a preface", (t) => {
  const error = t.throws(() => encodePreface({ kind: "claim", token: token.subarray(1) }), { instanceOf: ProxyError });
  t.is(error?.code, "internal");
});

test("a token names its worker and no two tokens are equal", (t) => {
  const digests = new Set<string>();
  for (let index = 0; index < 1000; index += 1) {
    const made = createToken(index & 0xff);
    t.is(made.length, tokenBytes);
    t.is(tokenWorker(made), index & 0xff);
    digests.add(Buffer.from(made.subarray(1)).toString("hex"));
  }
  t.is(digests.size, 1000);
});

test("tokens are random in every byte but the first", (t) => {
  const tokens = Array.from({ length: 300 }, () => createToken(7));
  for (let at = 1; at < tokenBytes; at += 1) {
    const values = new Set(tokens.map((made) => made[at]));
    t.true(values.size > 100, `byte ${at} has ${values.size} values`);
  }
});

test("a token keeps its bytes when more tokens are made", (t) => {
  const first = createToken(1);
  const copy = first.slice();
  for (let index = 0; index < 300; index += 1) createToken(2);
  t.deepEqual(first, copy);
});

test("a token's digest is its SHA-256, one character for each byte", (t) => {
  t.is(
    Buffer.from(tokenDigest(token), "latin1").toString("hex"),
    "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd",
  );
});

test("verdicts have the bytes that the wire format fixes", (t) => {
  const bytes: Record<Verdict, number> = {
    taken: 0x01,
    target_unreachable: 0x02,
    target_full: 0x03,
    name_not_served: 0x04,
    shutting_down: 0x05,
    verdict_refused: 0x06,
  };
  for (const [verdict, byte] of Object.entries(bytes) as [Verdict, number][]) {
    t.is(encodeVerdict(verdict), byte);
    t.is(decodeVerdict(byte), verdict);
    if (verdict !== "taken") t.is(reasons[verdict].scope, "offer");
  }
});

test("every byte that is not in the verdict table declines", (t) => {
  for (const byte of [0, ...Array.from({ length: 249 }, (_, index) => index + 7)]) {
    t.is(decodeVerdict(byte), "verdict_refused");
  }
});
