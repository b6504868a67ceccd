import type { AnnouncedNames, SessionFacts, ToPublicDataPlane } from "./messages.js";
import type { Terms } from "./terms.js";

interface KnownSession {
  readonly facts: SessionFacts;
  leaving: boolean;
  pool: ToPublicDataPlane | undefined;
  /** By announcement. */
  readonly announced: Map<number, { terms: Terms; readonly patterns: Set<string> }>;
}

/** What the control plane has told its data planes so far, for one that starts later. */
export interface Replay {
  note(message: ToPublicDataPlane): void;
  /** As few messages as say the same. */
  messages(): ToPublicDataPlane[];
}

export function createReplay(): Replay {
  let configure: ToPublicDataPlane | undefined;
  let accept: ToPublicDataPlane | undefined;
  const sessions = new Map<string, KnownSession>();

  function noteNames({ session, announcementId, patterns, alpn, weight, priority }: AnnouncedNames): void {
    const announced = sessions.get(session)?.announced;
    if (announced === undefined) return;
    const terms: Terms = { alpn, weight, priority };
    const known = announced.get(announcementId) ?? { terms, patterns: new Set() };
    known.terms = terms;
    announced.set(announcementId, known);
    for (const pattern of patterns) known.patterns.add(pattern);
  }

  return {
    note(message) {
      switch (message.type) {
        case "configure":
          configure = message;
          return;
        case "accept":
          accept = message;
          return;
        case "attached":
          sessions.set(message.session.session, {
            facts: message.session,
            leaving: false,
            pool: undefined,
            announced: new Map(),
          });
          return;
        case "announced":
          for (const names of message.names) noteNames(names);
          return;
        case "withdrawn": {
          const announced = sessions.get(message.session)?.announced;
          const known = announced?.get(message.announcementId);
          for (const pattern of message.patterns) known?.patterns.delete(pattern);
          if (known?.patterns.size === 0) announced?.delete(message.announcementId);
          return;
        }
        case "pool": {
          const known = sessions.get(message.session);
          // A new worker has granted nothing that could be lost.
          if (known !== undefined) known.pool = { ...message, renew: false };
          return;
        }
        case "sessionLeaving": {
          const known = sessions.get(message.session);
          if (known === undefined) return;
          known.leaving = true;
          known.announced.clear();
          return;
        }
        case "sessionGone":
          sessions.delete(message.session);
          return;
        default:
          // About one connection, or about the end.
          return;
      }
    },

    messages() {
      const messages: ToPublicDataPlane[] = configure === undefined ? [] : [configure];
      const names: AnnouncedNames[] = [];
      for (const { facts, leaving, pool, announced } of sessions.values()) {
        messages.push({ type: "attached", session: facts });
        if (pool !== undefined) messages.push(pool);
        if (leaving) messages.push({ type: "sessionLeaving", session: facts.session });
        for (const [announcementId, { terms, patterns }] of announced) {
          names.push({ session: facts.session, announcementId, patterns: [...patterns], ...terms });
        }
      }
      if (names.length > 0) messages.push({ type: "announced", names });
      // Last: by then it knows who serves what.
      if (accept !== undefined) messages.push(accept);
      return messages;
    },
  };
}
