/**
 * A bounded queue of peers that have not proved anything yet. When it is full the oldest is given up for the newest: an
 * honest peer needs a round trip or two, so the oldest is the least likely to be honest.
 */
export interface HalfOpenSet {
  /** Admits somebody; `giveUp` of the oldest is called when there is no room. Returns the way out, which may be taken twice. */
  enter(giveUp: () => void): () => void;
  /** Gives everybody up. */
  giveUpAll(): void;
  readonly size: number;
}

interface Entry {
  giveUp: (() => void) | undefined;
  older: Entry | undefined;
  newer: Entry | undefined;
}

export function halfOpenSet(max: number): HalfOpenSet {
  let oldest: Entry | undefined;
  let newest: Entry | undefined;
  let size = 0;

  /** What is taken out points at nobody any more: a chain of the dead would keep the living in memory. */
  function leave(entry: Entry): void {
    if (entry.giveUp === undefined) return;
    const { older, newer } = entry;
    if (older === undefined) oldest = newer;
    else older.newer = newer;
    if (newer === undefined) newest = older;
    else newer.older = older;
    entry.giveUp = undefined;
    entry.older = undefined;
    entry.newer = undefined;
    size--;
  }

  function giveUpOldest(): void {
    const { giveUp } = oldest!;
    leave(oldest!);
    giveUp?.();
  }

  return {
    enter(giveUp) {
      const entry: Entry = { giveUp, older: newest, newer: undefined };
      if (newest === undefined) oldest = entry;
      else newest.newer = entry;
      newest = entry;
      size++;
      if (size > max) giveUpOldest();
      return () => leave(entry);
    },
    giveUpAll() {
      while (oldest !== undefined) giveUpOldest();
    },
    get size() {
      return size;
    },
  };
}
