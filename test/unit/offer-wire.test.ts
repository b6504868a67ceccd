import test from "ava";
import fc from "fast-check";
import { decodeFromPublic } from "../../src/mesh/codec.js";
import { Mesh } from "../../src/mesh/definition.js";
import { encodeOffer, encodeOffersMessage, type OfferFields, tokenOfOffer } from "../../src/rendezvous/offer-wire.js";

const decode = (bytes: Uint8Array) => decodeFromPublic(Mesh.service.Attach.responseDeserialize(Buffer.from(bytes)));

const anyOffer: fc.Arbitrary<OfferFields> = fc.record({
  token: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  announcementId: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  serverName: fc.option(fc.domain(), { nil: undefined }),
  // As the hello reader tells them: a character for each byte.
  alpn: fc.array(
    fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
    {
      maxLength: 8,
    },
  ),
  client: fc.constantFrom("192.0.2.1:5", "[2001:db8::1]:65535", "unix"),
  msLeft: fc.integer({ min: 0, max: 2 ** 31 }),
  connectionId: fc.stringMatching(/^[0-9a-f]{1,20}$/),
});

test("what is written here a protobuf library reads, field by field", (t) => {
  fc.assert(
    fc.property(fc.array(anyOffer, { minLength: 1, maxLength: 20 }), (offers) => {
      const decoded = decode(encodeOffersMessage(offers.map(encodeOffer)));
      t.is(decoded?.type, "offers");
      if (decoded?.type !== "offers") return;
      const plain = decoded.offers.map(({ token, ...rest }) => ({ ...rest, token: new Uint8Array(token) }));
      t.deepEqual(
        plain,
        offers.map((offer) => ({ ...offer, endpoint: 0 })),
      );
    }),
  );
});

test("the token of an encoded offer is found, whatever stands around it", (t) => {
  fc.assert(
    fc.property(anyOffer, (offer) => t.deepEqual(new Uint8Array(tokenOfOffer(encodeOffer(offer))), offer.token)),
  );
});

test("a client that offers protocols without end does not make the message long", (t) => {
  const alpn = Array.from({ length: 5000 }, (_, index) => `protocol-${index}`);
  const offer = { token: new Uint8Array(32), announcementId: 1, serverName: "a.test", alpn, client: "unix", msLeft: 1 };
  const encoded = encodeOffer({ ...offer, connectionId: "c" });
  t.true(encoded.length < 700);
  const decoded = decode(encodeOffersMessage([encoded]));
  t.deepEqual(decoded?.type === "offers" && decoded.offers[0]?.alpn.slice(0, 2), ["protocol-0", "protocol-1"]);
});

test("a token of another length is a fault", (t) => {
  const offer = { announcementId: 1, serverName: undefined, alpn: [], client: "unix", msLeft: 1, connectionId: "c" };
  t.throws(() => encodeOffer({ ...offer, token: new Uint8Array(31) }), { code: "internal" });
});
