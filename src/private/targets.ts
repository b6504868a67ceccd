import { ProxyError } from "../base/errors.js";
import { type Pattern, parsePattern, patternMatches } from "../tls-sni/index.js";
import type { IncomingOffer, TargetFacts } from "./messages.js";

/** Where the clients of one announcement go. */
export interface Target extends TargetFacts {
  readonly parsedPatterns: readonly Pattern[];
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
      byId = new Map(
        facts.map((target) => [target.announcementId, { ...target, parsedPatterns: target.patterns.map(patternOf) }]),
      );
    },
    of({ announcementId, serverName }) {
      const target = byId.get(announcementId);
      if (target === undefined)
        throw new ProxyError("name_not_served", `there is no announcement ${announcementId} here`);
      if (target.parsedPatterns.some((pattern) => patternMatches(pattern, serverName))) return target;
      throw new ProxyError("name_not_served", `announcement ${announcementId} does not bear that name`);
    },
  };
}

/** The control plane sends canonical patterns only. */
function patternOf(text: string): Pattern {
  const parsed = parsePattern(text);
  if (parsed.status === "invalid") throw new Error(`not a canonical server-name pattern: ${text}`);
  return parsed.pattern;
}
