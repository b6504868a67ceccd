import type { Identity } from "../certificates/identity.js";
import type { NameResult, NameStatus } from "../mesh/messages.js";
import { type Pattern, parsePattern } from "../tls-sni/index.js";
import { type Claim, type Contest, createContest } from "./contest.js";
import type { Grants } from "./grants.js";
import type { AnnouncedNames } from "./messages.js";
import { sameTerms, type Terms } from "./terms.js";

/** Names one session may announce. */
export const maxNamesPerSession = 20_000;

/**
 * Announcements of one session that may bear the same name, for different application protocols. Whoever matches a client
 * looks through all who serve its name, so their number must not be the announcer's choice.
 */
const maxAnnouncementsPerName = 64;

/** Who announces; a session belongs to one identity. */
export interface Announcing {
  readonly session: string;
  readonly identity: Identity;
}

export interface Announcement extends Terms {
  readonly announcementId: number;
  readonly names: readonly string[];
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
  /** Comes before what was accepted. */
  readonly withdrawn: readonly {
    readonly session: string;
    readonly announcementId: number;
    readonly patterns: readonly string[];
  }[];
}

export interface RegisteredName extends Terms {
  readonly name: string;
  readonly session: string;
  readonly identity: string;
  readonly status: NameStatus;
}

/**
 * Who may serve which name. A name belongs whole to the identity that holds it; another identity's announcement is
 * `taken` and waits, unless its grant says `shared`, and is accepted, in order of arrival, when the name is free.
 */
export interface Registry {
  /**
   * The same announcement id again replaces what it named before, and its terms; a name that it keeps is never free
   * meanwhile, and is accepted anew where the terms are others.
   */
  announce(who: Announcing, announcement: Announcement): RegistryChange;
  withdraw(session: string, announcementId: number): RegistryChange;
  /** Everything of a session. The data plane is told separately, so this lists nothing of it as withdrawn. */
  drop(session: string): RegistryChange;
  /** Judges every announcement anew. */
  regrant(grants: Grants): RegistryChange;
  list(): RegisteredName[];
  readonly accepted: number;
}

/** What one session announces: by announcement id, then by name. */
interface Announced {
  readonly announcements: Map<number, Map<string, Claim>>;
  /** Names in all of them. */
  names: number;
  /** In how many of them each name stands. */
  readonly perName: Map<string, number>;
}

const details: Record<NameStatus, string> = {
  accepted: "",
  denied: "no grant of this identity covers the name",
  taken: "another identity holds the name; it is accepted when the name is free",
  full: `a session may announce ${maxNamesPerSession} names, and each in ${maxAnnouncementsPerName} announcements`,
  invalid: "not a server-name pattern",
};

export function createRegistry(initialGrants: Grants): Registry {
  let grants = initialGrants;
  const contests = new Map<string, Contest>();
  const sessions = new Map<string, Announced>();
  let accepted = 0;
  let arrivals = 0;
  /** What the call under way changes. */
  let change = new ChangeBuilder();

  function changed(claim: Claim, before: Claim["status"] | undefined): void {
    if (before === "accepted") {
      accepted--;
      change.withdraw(claim);
    }
    if (claim.status === "accepted") {
      accepted++;
      change.accept(claim);
    }
    change.result(claim);
  }

  function claim(who: Announcing, announcementId: number, pattern: Pattern, terms: Terms): Claim {
    const contest = contests.get(pattern.text) ?? createContest(pattern, () => grants, changed);
    contests.set(pattern.text, contest);
    const { session, identity } = who;
    const arrival = arrivals++;
    const made: Claim = { session, identity, announcementId, pattern, terms, status: "denied", arrival };
    contest.add(made);
    return made;
  }

  function release(claim: Claim): void {
    const { text } = claim.pattern;
    const contest = contests.get(text)!;
    if (claim.status === "accepted") accepted--;
    contest.remove(claim);
    if (contest.size === 0) contests.delete(text);
  }

  function result(): RegistryChange {
    const done = change.done();
    change = new ChangeBuilder();
    return done;
  }

  return {
    announce(who, { announcementId, names, alpn, weight, priority }) {
      const terms: Terms = { alpn, weight, priority };
      const patterns = new Map<string, Pattern>();
      for (const name of names) {
        const parsed = parsePattern(name);
        if (parsed.status === "ok") patterns.set(parsed.pattern.text, parsed.pattern);
        else change.refuse(who.session, announcementId, { name, status: "invalid", detail: parsed.problem });
      }
      const announced: Announced = sessions.get(who.session) ?? {
        announcements: new Map(),
        names: 0,
        perName: new Map(),
      };
      const announcement = announced.announcements.get(announcementId) ?? new Map<string, Claim>();
      for (const [text, known] of announcement) {
        if (patterns.has(text)) continue;
        announcement.delete(text);
        count(announced, text, -1);
        if (known.status === "accepted") change.withdraw(known);
        release(known);
      }
      for (const [text, pattern] of patterns) {
        const known = announcement.get(text);
        if (known !== undefined) {
          const isChanged = !sameTerms(known.terms, terms);
          known.terms = terms;
          if (isChanged && known.status === "accepted") change.accept(known);
          change.result(known);
        } else if (isFull(announced, text)) {
          change.refuse(who.session, announcementId, { name: text, status: "full", detail: details.full });
        } else {
          count(announced, text, 1);
          announcement.set(text, claim(who, announcementId, pattern, terms));
        }
      }
      // An announcement that names nothing is none: what is empty takes no memory.
      if (announcement.size > 0) announced.announcements.set(announcementId, announcement);
      else announced.announcements.delete(announcementId);
      if (announced.announcements.size > 0) sessions.set(who.session, announced);
      else sessions.delete(who.session);
      return result();
    },

    withdraw(session, announcementId) {
      const announced = sessions.get(session);
      const announcement = announced?.announcements.get(announcementId);
      if (announced === undefined || announcement === undefined) return result();
      for (const claim of announcement.values()) {
        if (claim.status === "accepted") change.withdraw(claim);
        count(announced, claim.pattern.text, -1);
        release(claim);
      }
      announced.announcements.delete(announcementId);
      if (announced.announcements.size === 0) sessions.delete(session);
      return result();
    },

    drop(session) {
      for (const announcement of sessions.get(session)?.announcements.values() ?? []) {
        for (const claim of announcement.values()) release(claim);
      }
      sessions.delete(session);
      return result();
    },

    regrant(next) {
      grants = next;
      for (const contest of contests.values()) contest.regrant();
      return result();
    },

    list() {
      return [...contests.values()].flatMap((contest) =>
        [...contest.claims()].map((claim) => ({
          name: claim.pattern.text,
          session: claim.session,
          identity: claim.identity.text,
          ...claim.terms,
          status: claim.status,
        })),
      );
    },

    get accepted() {
      return accepted;
    },
  };
}

function count(announced: Announced, name: string, by: 1 | -1): void {
  announced.names += by;
  const times = (announced.perName.get(name) ?? 0) + by;
  if (times === 0) announced.perName.delete(name);
  else announced.perName.set(name, times);
}

function isFull({ names, perName }: Announced, name: string): boolean {
  return names >= maxNamesPerSession || (perName.get(name) ?? 0) >= maxAnnouncementsPerName;
}

/** Gathers a change by session and announcement, so that each is told once. */
class ChangeBuilder {
  readonly #results = new ByAnnouncement<{ results: NameResult[] }>();
  readonly #accepted = new ByAnnouncement<Terms & { patterns: string[] }>();
  readonly #withdrawn = new ByAnnouncement<{ patterns: string[] }>();

  result(claim: Claim): void {
    const { status, pattern } = claim;
    this.refuse(claim.session, claim.announcementId, { name: pattern.text, status, detail: details[status] });
  }

  refuse(session: string, announcementId: number, result: NameResult): void {
    this.#results.of({ session, announcementId }, () => ({ results: [] })).results.push(result);
  }

  accept(claim: Claim): void {
    this.#accepted.of(claim, () => ({ ...claim.terms, patterns: [] })).patterns.push(claim.pattern.text);
  }

  withdraw(claim: Claim): void {
    this.#withdrawn.of(claim, () => ({ patterns: [] })).patterns.push(claim.pattern.text);
  }

  done(): RegistryChange {
    return {
      results: this.#results.all(),
      accepted: this.#accepted.all(),
      withdrawn: this.#withdrawn.all(),
    };
  }
}

class ByAnnouncement<T> {
  readonly #entries = new Map<string, { session: string; announcementId: number } & T>();

  of({ session, announcementId }: Pick<Claim, "session" | "announcementId">, make: () => T) {
    const id = `${session} ${announcementId}`;
    let entry = this.#entries.get(id);
    if (entry === undefined) {
      entry = { session, announcementId, ...make() };
      this.#entries.set(id, entry);
    }
    return entry;
  }

  all(): ({ session: string; announcementId: number } & T)[] {
    return [...this.#entries.values()];
  }
}
