import { type Candidate, createCandidate } from "../balance/candidate.js";
import { ProxyError } from "../base/errors.js";
import { createPatternTable, type Pattern, type PatternTable, parsePattern } from "../tls-sni/index.js";
import type { ResolvedAddress } from "../transport/transport.js";
import type { IncomingOffer, ServerFacts, TargetFacts } from "./messages.js";
import type { Counted, ServerLoads } from "./server-loads.js";
import { ownerOf } from "./target-owner.js";

/** Where the clients of one announcement go. */
export interface Target extends Omit<TargetFacts, "servers"> {
  /** A target may bear thousands of names. */
  readonly names: PatternTable<true>;
  readonly servers: readonly Server[];
}

/** One address of a target; the same one for as long as the target is there. */
export interface Server extends Counted {
  /** As the settings state it. */
  readonly address: string;
  readonly candidate: Candidate;
  resolved: readonly ResolvedAddress[];
  up: boolean;
}

/** The targets of the data plane, by announcement id. */
export interface Targets {
  replace(facts: readonly TargetFacts[]): void;
  /** Throws `name_not_served` where the announcement is not one of ours or does not bear the name. */
  of(offer: IncomingOffer): Target;
  /** The worker that must serve it; undefined where any may. */
  ownerOf(announcementId: number, workers: number): number | undefined;
}

export function createTargets(loads: ServerLoads): Targets {
  let byId = new Map<number, Target>();

  function serversOf(facts: readonly ServerFacts[], known: readonly Server[]): readonly Server[] {
    return facts.map(({ address, slot, resolved, up }) => {
      const server = known.find((one) => one.address === address) ?? {
        address,
        slot,
        connections: 0,
        candidate: createCandidate({ weight: 1, key: address, tieKey: "" }),
        resolved,
        up,
      };
      server.resolved = resolved;
      server.up = up;
      return server;
    });
  }

  return {
    replace(facts) {
      const ids = new Set(facts.map(({ announcementId }) => announcementId));
      // Before the others come: a slot may be given to one of them.
      for (const [id, { servers }] of byId) if (!ids.has(id)) for (const server of servers) loads.gone(server);
      byId = new Map(
        facts.map((target) => {
          const known = byId.get(target.announcementId);
          const servers = serversOf(target.servers, known?.servers ?? []);
          return [target.announcementId, { ...target, names: known?.names ?? namesOf(target), servers }];
        }),
      );
    },
    ownerOf(announcementId, workers) {
      const target = byId.get(announcementId);
      return target && ownerOf(target, workers);
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

/** An announcement bears the same names for as long as it lives. */
function namesOf({ patterns }: TargetFacts): PatternTable<true> {
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
