import test from "ava";
import fc from "fast-check";
import type { ToPublicDataPlane } from "../../src/public/messages.js";
import { createNames } from "../../src/public/names.js";
import { createReplay } from "../../src/public/replay.js";
import type { Terms } from "../../src/public/terms.js";
import { facts, usualTerms } from "./announcing.js";

const anySession = fc.constantFrom("s1", "s2", "s3");
const anyPatterns = fc.subarray(["a.test", "b.test", "*.test", "**.test", "*"], { minLength: 1 });
const anyTerms: fc.Arbitrary<Terms> = fc.record({
  alpn: fc.constantFrom([], ["h2"]),
  weight: fc.integer({ min: 1, max: 2 }),
  priority: fc.nat(1),
});
const anyAnnouncement = fc.record({ session: anySession, announcementId: fc.nat({ max: 2 }), patterns: anyPatterns });
const anyMessage: fc.Arbitrary<ToPublicDataPlane> = fc.oneof(
  anySession.map((session): ToPublicDataPlane => ({ type: "attached", session: facts(session) })),
  fc
    .tuple(anyAnnouncement, anyTerms)
    .map(([one, terms]): ToPublicDataPlane => ({ type: "announced", names: [{ ...one, ...terms }] })),
  anyAnnouncement.map((one): ToPublicDataPlane => ({ type: "withdrawn", ...one })),
  anySession.map((session): ToPublicDataPlane => ({ type: "sessionGone", session, splices: "keep" })),
  anySession.map((session): ToPublicDataPlane => ({ type: "sessionLeaving", session })),
  fc.constant<ToPublicDataPlane>({ type: "drain" }),
);

/** The names of a data plane that is told so; a session attaches once. */
function namesAfter(messages: readonly ToPublicDataPlane[]) {
  const names = createNames({ now: () => 0 });
  for (const message of messages) {
    if (message.type === "attached") names.attached(message.session);
    else if (message.type === "announced") for (const one of message.names) names.announced(one);
    else if (message.type === "withdrawn") names.withdrawn(message.session, message.announcementId, message.patterns);
    else if (message.type === "sessionLeaving") names.sessionLeft(message.session);
    else if (message.type === "sessionGone") names.sessionGone(message.session);
  }
  return ["a.test", "b.test", "c.test", "d.c.test", "other", undefined].map((serverName) => {
    const match = names.match({ serverName, alpn: ["h2"] });
    if (match.status !== "announced") return match.status;
    return match.announcers
      .map(({ session, announcementId, alpn, weight, priority, candidate }) =>
        [session.session, announcementId, alpn, weight, candidate.weight, priority].join(" "),
      )
      .toSorted();
  });
}

test("a data plane that is told the replay serves the same names as one that was told everything", (t) => {
  fc.assert(
    fc.property(fc.array(anyMessage, { maxLength: 40 }), (told) => {
      // What the control plane never does: attach a session that is attached, announce for one that is leaving.
      const states = new Map<string, "attached" | "leaving">();
      const sane = told.filter((message) => {
        if (message.type === "attached") {
          if (states.has(message.session.session)) return false;
          states.set(message.session.session, "attached");
        } else if (message.type === "sessionGone") states.delete(message.session);
        else if (message.type === "sessionLeaving" && states.has(message.session))
          states.set(message.session, "leaving");
        else if (message.type === "announced") return states.get(message.names[0]!.session) === "attached";
        return true;
      });
      const replay = createReplay();
      for (const message of sane) replay.note(message);
      t.deepEqual(namesAfter(replay.messages()), namesAfter(sane));
    }),
  );
});

test("the replay holds the last settings, and nothing of what is over", (t) => {
  const replay = createReplay();
  const configure = (startupHoldMs: number) =>
    ({ type: "configure", config: { startupHoldMs } }) as unknown as ToPublicDataPlane;
  replay.note(configure(1));
  replay.note({
    type: "attached",
    session: { ...facts("s"), slot: 3 },
  });
  replay.note({ type: "announced", names: [{ session: "s", announcementId: 1, patterns: ["a.test"], ...usualTerms }] });
  replay.note(configure(2));
  t.deepEqual(
    replay.messages().map(({ type }) => type),
    ["configure", "attached", "announced"],
  );
  replay.note({ type: "sessionGone", session: "s", splices: "keep" });
  t.deepEqual(replay.messages(), [configure(2)]);
});
