import { ProxyError } from "../base/errors.js";
import { createPatternTable, type Pattern, type PatternTable, parsePattern } from "../tls-sni/index.js";
import type { IncomingOffer, TargetFacts } from "./messages.js";

/** Where the clients of one announcement go. */
export interface Target extends TargetFacts {
  /** A target may bear thousands of names. */
  readonly names: PatternTable<true>;
}

/** The targets of the data plane, by announcement id. */
export interface Targets {
  replace(facts: readonly TargetFacts[]): void;
  /** Throws `name_not_served` where the announcement is not one of ours or does not bear the name. */
  of(offer: IncomingOffer): Target;
}

export function createTargets(): Targets {
  let byId = new Map<number, Target>();
  return {
    replace(facts) {
      byId = new Map(facts.map((target) => [target.announcementId, { ...target, names: namesOf(target, byId) }]));
    },
    of({ announcementId, serverName }) {
      const target = byId.get(announcementId);
      if (target === undefined)
        throw new ProxyError("name_not_served", `there is no announcement ${announcementId} here`);
      if (target.names.lookup(serverName).length > 0) return target;
      throw new ProxyError("name_not_served", `announcement ${announcementId} does not bear that name`);
    },
  };
}

/** An announcement bears the same names for as long as it lives: only its addresses change. */
function namesOf({ announcementId, patterns }: TargetFacts, known: ReadonlyMap<number, Target>): PatternTable<true> {
  const before = known.get(announcementId);
  if (before !== undefined) return before.names;
  const names = createPatternTable<true>();
  for (const text of patterns) names.add(patternOf(text), true);
  return names;
}

/** The control plane sends canonical patterns only. */
function patternOf(text: string): Pattern {
  const parsed = parsePattern(text);
  if (parsed.status === "invalid") throw new Error(`not a canonical server-name pattern: ${text}`);
  return parsed.pattern;
}
