/** Whoever can be on a roster remembers the place there. */
export interface RosterMember {
  rosterPlace?: number;
}

/**
 * Those who are there right now, in no particular order. An array, and not a Set, because members come and go by the
 * thousand a second: each time a Set fills up with deleted entries V8 gives it a new table, and the old one, once it has
 * grown old, keeps everybody who was in it from being collected by a cheap collection.
 */
export interface Roster<T extends RosterMember> {
  add(member: T): void;
  /** Does nothing where it is not there. */
  delete(member: T): void;
  readonly size: number;
  /** A copy, so that members may leave meanwhile. */
  all(): T[];
}

export function createRoster<T extends RosterMember>(): Roster<T> {
  const members: T[] = [];
  return {
    add(member) {
      member.rosterPlace = members.length;
      members.push(member);
    },
    delete(member) {
      const place = member.rosterPlace ?? -1;
      if (place < 0) return;
      member.rosterPlace = -1;
      const last = members.pop()!;
      if (last === member) return;
      members[place] = last;
      last.rosterPlace = place;
    },
    get size() {
      return members.length;
    },
    all: () => [...members],
  };
}
