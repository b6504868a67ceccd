import type { Identity } from "../certificates/identity.js";
import type { NameResult, NameStatus } from "../mesh/messages.js";
import { type Pattern, parsePattern } from "../tls-sni/index.js";
import type { Grants } from "./grants.js";
import type { AnnouncedNames } from "./messages.js";

/** Names one session may announce. */
export const maxNamesPerSession = 20_000;

/** Who announces; a session belongs to one identity. */
export interface Announcing {
  readonly session: string;
  readonly identity: Identity;
}

/** What a change of the registry means for the private proxies and for the data plane. */
export interface RegistryChange {
  /** To be told to the sessions, also to those that did not ask. */
  readonly results: readonly {
    readonly session: string;
    readonly announcementId: number;
    readonly results: readonly NameResult[];
  }[];
  readonly accepted: readonly AnnouncedNames[];
  readonly withdrawn: readonly {
    readonly session: string;
    readonly announcementId: number;
    readonly patterns: readonly string[];
  }[];
}

export interface RegisteredName {
  readonly name: string;
  readonly session: string;
  readonly identity: string;
  readonly alpn: readonly string[];
  readonly status: NameStatus;
}

/**
 * Who may serve which name. A name belongs whole to the identity that holds it; another identity's announcement is
 * `taken` and waits, unless its grant says `shared`, and is accepted, in order of arrival, when the name is free.
 */
export interface Registry {
  /** The same announcement id again replaces what it named before. */
  announce(
    who: Announcing,
    announcement: { announcementId: number; names: readonly string[]; alpn: readonly string[] },
  ): RegistryChange;
  withdraw(session: string, announcementId: number): RegistryChange;
  /** Everything of a session. The data plane is told separately, so this lists nothing of it as withdrawn. */
  drop(session: string): RegistryChange;
  /** Judges every announcement anew. */
  regrant(grants: Grants): RegistryChange;
  list(): RegisteredName[];
  readonly accepted: number;
}

interface Claim extends Announcing {
  readonly announcementId: number;
  readonly pattern: Pattern;
  readonly alpn: readonly string[];
  status: NameStatus;
}

const details: Record<NameStatus, string> = {
  accepted: "",
  denied: "no grant of this identity covers the name",
  taken: "another identity holds the name; it is accepted when the name is free",
  full: `a session may announce ${maxNamesPerSession} names`,
  invalid: "not a server-name pattern",
};

export function createRegistry(initialGrants: Grants): Registry {
  let grants = initialGrants;
  /** By pattern, in order of arrival. */
  const claims = new Map<string, Claim[]>();
  const bySession = new Map<string, Map<number, Map<string, Claim>>>();
  let accepted = 0;

  function setStatus(claim: Claim, status: NameStatus, change: ChangeBuilder): void {
    if (claim.status === status) return;
    if (claim.status === "accepted") {
      accepted--;
      change.withdraw(claim);
    }
    if (status === "accepted") {
      accepted++;
      change.accept(claim);
    }
    claim.status = status;
    change.result(claim);
  }

  /** Decides who of those who claim a pattern may serve it. The one place where a claim's status changes. */
  function judge(text: string, change: ChangeBuilder): void {
    const claimants = claims.get(text) ?? [];
    const decisions = new Map(claimants.map((claim) => [claim, grants.decide(claim.identity, claim.pattern)]));
    const holders = new Set<string>();
    for (const claim of claimants) {
      if (decisions.get(claim)!.status === "denied") setStatus(claim, "denied", change);
      else if (claim.status === "accepted") holders.add(claim.identity.text);
    }
    for (const claim of claimants) {
      const decision = decisions.get(claim)!;
      if (decision.status === "denied" || claim.status === "accepted") continue;
      const free = holders.size === 0 || holders.has(claim.identity.text) || decision.shared;
      if (free) holders.add(claim.identity.text);
      setStatus(claim, free ? "accepted" : "taken", change);
    }
  }

  function remove(claim: Claim, change: ChangeBuilder, tellDataPlane: boolean): void {
    const { text } = claim.pattern;
    const left = (claims.get(text) ?? []).filter((other) => other !== claim);
    if (left.length > 0) claims.set(text, left);
    else claims.delete(text);
    bySession.get(claim.session)?.get(claim.announcementId)?.delete(text);
    if (claim.status === "accepted") {
      accepted--;
      if (tellDataPlane) change.withdraw(claim);
    }
    judge(text, change);
  }

  function announcementOf(session: string, announcementId: number): Map<string, Claim> {
    const announcements = bySession.get(session) ?? new Map<number, Map<string, Claim>>();
    bySession.set(session, announcements);
    const announcement = announcements.get(announcementId) ?? new Map<string, Claim>();
    announcements.set(announcementId, announcement);
    return announcement;
  }

  function namesOf(session: string): number {
    let sum = 0;
    for (const announcement of bySession.get(session)?.values() ?? []) sum += announcement.size;
    return sum;
  }

  return {
    announce(who, { announcementId, names, alpn }) {
      const change = new ChangeBuilder();
      const announcement = announcementOf(who.session, announcementId);
      const patterns = new Map<string, Pattern>();
      for (const name of names) {
        const parsed = parsePattern(name);
        if (parsed.status === "ok") patterns.set(parsed.pattern.text, parsed.pattern);
        else change.refuse(who.session, announcementId, { name, status: "invalid", detail: parsed.problem });
      }
      const sameAlpn = (claim: Claim) =>
        claim.alpn.length === alpn.length && claim.alpn.every((one, at) => one === alpn[at]);
      for (const claim of [...announcement.values()]) {
        if (patterns.has(claim.pattern.text) && sameAlpn(claim)) continue;
        remove(claim, change, true);
      }
      let room = maxNamesPerSession - namesOf(who.session);
      for (const [text, pattern] of patterns) {
        const known = announcement.get(text);
        if (known !== undefined) {
          change.result(known);
          continue;
        }
        if (room-- <= 0) {
          change.refuse(who.session, announcementId, { name: text, status: "full", detail: details.full });
          continue;
        }
        const claim: Claim = { ...who, announcementId, pattern, alpn, status: "invalid" };
        announcement.set(text, claim);
        const claimants = claims.get(text);
        if (claimants === undefined) claims.set(text, [claim]);
        else claimants.push(claim);
        judge(text, change);
      }
      return change.done();
    },

    withdraw(session, announcementId) {
      const change = new ChangeBuilder();
      const announcement = bySession.get(session)?.get(announcementId);
      for (const claim of [...(announcement?.values() ?? [])]) remove(claim, change, true);
      bySession.get(session)?.delete(announcementId);
      return change.done();
    },

    drop(session) {
      const change = new ChangeBuilder();
      for (const announcement of bySession.get(session)?.values() ?? []) {
        for (const claim of [...announcement.values()]) remove(claim, change, false);
      }
      bySession.delete(session);
      return change.done();
    },

    regrant(next) {
      grants = next;
      const change = new ChangeBuilder();
      for (const text of claims.keys()) judge(text, change);
      return change.done();
    },

    list() {
      return [...claims.values()].flat().map((claim) => ({
        name: claim.pattern.text,
        session: claim.session,
        identity: claim.identity.text,
        alpn: claim.alpn,
        status: claim.status,
      }));
    },

    get accepted() {
      return accepted;
    },
  };
}

/** Gathers a change by session and announcement, so that each is told once. */
class ChangeBuilder {
  readonly #results = new Map<string, { session: string; announcementId: number; results: NameResult[] }>();
  readonly #accepted = new Map<
    string,
    { session: string; announcementId: number; alpn: readonly string[]; patterns: string[] }
  >();
  readonly #withdrawn = new Map<string, { session: string; announcementId: number; patterns: string[] }>();

  result(claim: Claim): void {
    this.refuse(claim.session, claim.announcementId, {
      name: claim.pattern.text,
      status: claim.status,
      detail: details[claim.status],
    });
  }

  refuse(session: string, announcementId: number, result: NameResult): void {
    entry(this.#results, session, announcementId, () => ({ session, announcementId, results: [] })).results.push(
      result,
    );
  }

  accept({ session, announcementId, alpn, pattern }: Claim): void {
    const make = () => ({ session, announcementId, alpn, patterns: [] });
    entry(this.#accepted, session, announcementId, make).patterns.push(pattern.text);
  }

  withdraw({ session, announcementId, pattern }: Claim): void {
    entry(this.#withdrawn, session, announcementId, () => ({ session, announcementId, patterns: [] })).patterns.push(
      pattern.text,
    );
  }

  done(): RegistryChange {
    return {
      results: [...this.#results.values()],
      accepted: [...this.#accepted.values()],
      withdrawn: [...this.#withdrawn.values()],
    };
  }
}

function entry<T>(map: Map<string, T>, session: string, announcementId: number, make: () => T): T {
  const key = `${session} ${announcementId}`;
  const found = map.get(key) ?? make();
  map.set(key, found);
  return found;
}
