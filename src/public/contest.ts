import type { Identity } from "../certificates/identity.js";
import type { NameStatus } from "../mesh/messages.js";
import type { Pattern } from "../tls-sni/index.js";
import type { Grants } from "./grants.js";
import type { Terms } from "./terms.js";

/** One announcement's claim to one name. */
export interface Claim {
  readonly session: string;
  readonly identity: Identity;
  readonly announcementId: number;
  readonly pattern: Pattern;
  terms: Terms;
  status: ClaimStatus;
  /** Claims are numbered as they come: the lower number came first. */
  readonly arrival: number;
}

export type ClaimStatus = Extract<NameStatus, "accepted" | "denied" | "taken">;

/** Who claims one name, and which of them hold it. */
export interface Contest {
  /** Judges a new claim. */
  add(claim: Claim): void;
  /** Takes a claim out; others may get the name. The claim's own status stays as it was. */
  remove(claim: Claim): void;
  /** Judges everybody anew. */
  regrant(): void;
  claims(): Iterable<Claim>;
  readonly size: number;
}

/** All claims of one identity to the name. What is decided of one is decided of all. */
interface Contender {
  readonly claims: Set<Claim>;
  status: ClaimStatus;
  shared: boolean;
}

/**
 * Decides who of those who claim a name may serve it; `changed` is told of each claim whose status becomes another, after
 * the fact. The name belongs to the first identity that came; others wait, in order of arrival, but for those whose grant
 * says `shared`: of all who hold a name, at most one has a grant that does not.
 *
 * A claim costs the same however many there are: only when the name becomes free are those who wait looked through.
 */
export function createContest(
  pattern: Pattern,
  grants: () => Grants,
  changed: (claim: Claim, before: ClaimStatus | undefined) => void,
): Contest {
  const contenders = new Map<string, Contender>();
  let holders = 0;

  function setStatus(contender: Contender, status: ClaimStatus): void {
    const before = contender.status;
    if (before === status) return;
    if (before === "accepted") holders--;
    if (status === "accepted") holders++;
    contender.status = status;
    for (const claim of contender.claims) {
      claim.status = status;
      changed(claim, before);
    }
  }

  /** The name has become free: the first of those who wait for it gets it. */
  function passOn(): void {
    if (holders > 0) return;
    let next: Contender | undefined;
    for (const contender of contenders.values()) {
      if (contender.status !== "taken") continue;
      if (next === undefined || arrivalOf(contender) < arrivalOf(next)) next = contender;
    }
    if (next !== undefined) setStatus(next, "accepted");
  }

  return {
    add(claim) {
      const known = contenders.get(claim.identity.text);
      if (known !== undefined) {
        known.claims.add(claim);
        claim.status = known.status;
      } else {
        const decision = grants().decide(claim.identity, pattern);
        const shared = decision.status === "granted" && decision.shared;
        if (decision.status === "denied") claim.status = "denied";
        else claim.status = shared || holders === 0 ? "accepted" : "taken";
        if (claim.status === "accepted") holders++;
        contenders.set(claim.identity.text, { claims: new Set([claim]), status: claim.status, shared });
      }
      changed(claim, undefined);
    },

    remove(claim) {
      const contender = contenders.get(claim.identity.text);
      if (contender?.claims.delete(claim) !== true || contender.claims.size > 0) return;
      contenders.delete(claim.identity.text);
      if (contender.status !== "accepted") return;
      holders--;
      passOn();
    },

    regrant() {
      const byArrival = [...contenders.values()].sort((a, b) => arrivalOf(a) - arrivalOf(b));
      const verdicts = new Map<Contender, ClaimStatus>();
      let held = false;
      // Who holds the name keeps it where the grants still allow that, and comes before all who wait.
      let exclusive = false;
      for (const contender of byArrival) {
        const [claim] = contender.claims;
        const decision = grants().decide(claim!.identity, pattern);
        contender.shared = decision.status === "granted" && decision.shared;
        if (decision.status === "denied") verdicts.set(contender, "denied");
        else if (contender.status === "accepted") {
          const keeps = contender.shared || !exclusive;
          exclusive ||= !contender.shared;
          held ||= keeps;
          verdicts.set(contender, keeps ? "accepted" : "taken");
        }
      }
      for (const contender of byArrival) {
        if (verdicts.has(contender)) continue;
        const free = contender.shared || !held;
        held ||= free;
        verdicts.set(contender, free ? "accepted" : "taken");
      }
      for (const [contender, status] of verdicts) setStatus(contender, status);
    },

    *claims() {
      for (const contender of contenders.values()) yield* contender.claims;
    },

    get size() {
      return contenders.size;
    },
  };
}

/** Of the claims that an identity has now: one that it gave up gives no place in the queue. */
function arrivalOf({ claims }: Contender): number {
  const [first] = claims;
  return first!.arrival;
}
