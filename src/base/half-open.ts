/**
 * A bounded set of peers that have not proved anything yet. When it is full the oldest is given up for the newest: an
 * honest peer needs a round trip or two, so the oldest is the least likely to be honest.
 */
export interface HalfOpenSet<T> {
  /** Admits `item`; `giveUp` of the oldest is called when there is no room. */
  add(item: T, giveUp: () => void): void;
  /** The peer has proved itself, or has left. */
  delete(item: T): void;
  readonly size: number;
}

export function halfOpenSet<T>(max: number): HalfOpenSet<T> {
  const items = new Map<T, () => void>();
  return {
    add(item, giveUp) {
      items.set(item, giveUp);
      if (items.size <= max) return;
      const [oldest, giveUpOldest] = items.entries().next().value as [T, () => void];
      items.delete(oldest);
      giveUpOldest();
    },
    delete(item) {
      items.delete(item);
    },
    get size() {
      return items.size;
    },
  };
}
