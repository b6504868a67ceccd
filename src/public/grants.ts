import type { Identity } from "../certificates/identity.js";
import { identityMatches } from "../certificates/identity-match.js";
import { type Pattern, parsePattern, patternCovers } from "../tls-sni/index.js";

/** A grant as the settings state it. */
export interface GrantStatement {
  readonly identity: string;
  readonly names: readonly string[];
  readonly shared: boolean;
}

export type GrantDecision = { readonly status: "granted"; readonly shared: boolean } | { readonly status: "denied" };

/** Which names an identity may announce. */
export interface Grants {
  /** Granted when one grant of the identity covers every name the pattern matches; shared when one such grant says so. */
  decide(identity: Identity, pattern: Pattern): GrantDecision;
  /** Every granted pattern, in canonical form. */
  readonly patterns: readonly string[];
}

/** The statements have been checked by the settings: a pattern that does not parse is a fault here. */
export function createGrants(statements: readonly GrantStatement[]): Grants {
  const grants = statements.map(({ identity, names, shared }) => ({
    identity,
    shared,
    patterns: names.map(patternOf),
  }));
  return {
    decide(identity, pattern) {
      let decision: GrantDecision = { status: "denied" };
      for (const grant of grants) {
        if (!grant.patterns.some((granted) => patternCovers(granted, pattern))) continue;
        if (!identityMatches(grant.identity, identity)) continue;
        if (grant.shared) return { status: "granted", shared: true };
        decision = { status: "granted", shared: false };
      }
      return decision;
    },
    patterns: [...new Set(grants.flatMap((grant) => grant.patterns.map((pattern) => pattern.text)))],
  };
}

function patternOf(text: string): Pattern {
  const parsed = parsePattern(text);
  if (parsed.status === "invalid") throw new Error(`not a server-name pattern: ${text}`);
  return parsed.pattern;
}
