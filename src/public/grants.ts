import type { BalanceMethod } from "../balance/method.js";
import type { Identity } from "../certificates/identity.js";
import { identityMatches } from "../certificates/identity-match.js";
import { createPatternTable, type Pattern, type PatternTable, parsePattern, patternCovers } from "../tls-sni/index.js";
import type { GrantedPattern } from "./messages.js";

/** A grant as the settings state it. */
export interface GrantStatement {
  readonly identity: string;
  readonly names: readonly string[];
  readonly shared: boolean;
  readonly balance: BalanceMethod;
}

export type GrantDecision = { readonly status: "granted"; readonly shared: boolean } | { readonly status: "denied" };

/** Which names an identity may announce. */
export interface Grants {
  /** Granted when one grant of the identity covers every name the pattern matches; shared when one such grant says so. */
  decide(identity: Identity, pattern: Pattern): GrantDecision;
  /** Every granted pattern once, in canonical form, with the method of the first grant that names it. */
  readonly patterns: readonly GrantedPattern[];
}

/** Identities whose grants are kept at hand. Beyond it all are gathered anew, so that memory is bounded. */
const maxKnownIdentities = 10_000;

/** The statements have been checked by the settings: a pattern that does not parse is a fault here. */
export function createGrants(statements: readonly GrantStatement[]): Grants {
  const grants = statements.map(({ names, ...grant }) => ({ ...grant, patterns: names.map(patternOf) }));
  const methods = new Map<string, BalanceMethod>();
  for (const { patterns, balance } of grants) {
    for (const { text } of patterns) if (!methods.has(text)) methods.set(text, balance);
  }
  // By identity, then by pattern: with thousands of grants a decision must not look at each of them.
  const known = new Map<string, PatternTable<boolean>>();

  function tableOf(identity: Identity): PatternTable<boolean> {
    const found = known.get(identity.text);
    if (found !== undefined) return found;
    const table = createPatternTable<boolean>();
    for (const grant of grants) {
      if (!identityMatches(grant.identity, identity)) continue;
      for (const pattern of grant.patterns) table.add(pattern, grant.shared);
    }
    if (known.size >= maxKnownIdentities) known.clear();
    known.set(identity.text, table);
    return table;
  }

  return {
    decide(identity, pattern) {
      let granted = false;
      for (const entry of tableOf(identity).lookup(exampleOf(pattern))) {
        if (!patternCovers(entry.pattern, pattern)) continue;
        if (entry.values.has(true)) return { status: "granted", shared: true };
        granted = true;
      }
      return granted ? { status: "granted", shared: false } : { status: "denied" };
    },
    patterns: [...methods].map(([pattern, balance]) => ({ pattern, balance })),
  };
}

/** A name that the pattern matches: whatever covers the pattern matches it too. */
function exampleOf({ kind, name }: Pattern): string | undefined {
  if (kind === "all") return undefined;
  return kind === "exact" ? name : `a.${name}`;
}

function patternOf(text: string): Pattern {
  const parsed = parsePattern(text);
  if (parsed.status === "invalid") throw new Error(`not a server-name pattern: ${text}`);
  return parsed.pattern;
}
