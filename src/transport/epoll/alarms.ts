/** A point in time at which something is to happen; owned by whoever set it. */
export interface Alarm {
  /** Milliseconds on the monotonic clock. */
  readonly at: number;
  /** Undefined when it has rung or was cancelled. */
  ring: (() => void) | undefined;
}

/**
 * Alarms in the order in which they ring: a binary heap. Most alarms of a proxy are deadlines that are never reached, so
 * cancelling only empties the alarm; the empty ones are swept when they are more than half.
 */
export class Alarms {
  #heap: Alarm[] = [];
  #cancelled = 0;

  /** How many are still to ring. */
  get size(): number {
    return this.#heap.length - this.#cancelled;
  }

  set(at: number, ring: () => void): Alarm {
    const alarm: Alarm = { at, ring };
    this.#heap.push(alarm);
    this.#up(this.#heap.length - 1);
    return alarm;
  }

  /** May be called again, and after it has rung, without harm. */
  cancel(alarm: Alarm): void {
    if (alarm.ring === undefined) return;
    alarm.ring = undefined;
    this.#cancelled++;
    if (this.#cancelled > 64 && this.#cancelled > this.#heap.length / 2) this.#sweep();
  }

  /** When the next one rings; infinity where there is none. */
  next(): number {
    while (this.#heap.length > 0 && this.#heap[0]!.ring === undefined) {
      this.#pop();
      this.#cancelled--;
    }
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** Takes out the next alarm that is due; undefined where none is. */
  due(now: number): (() => void) | undefined {
    if (this.next() > now) return undefined;
    const alarm = this.#pop();
    const { ring } = alarm;
    alarm.ring = undefined;
    return ring;
  }

  clear(): void {
    for (const alarm of this.#heap) alarm.ring = undefined;
    this.#heap = [];
    this.#cancelled = 0;
  }

  #pop(): Alarm {
    const first = this.#heap[0]!;
    const last = this.#heap.pop()!;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#down(0);
    }
    return first;
  }

  #sweep(): void {
    this.#heap = this.#heap.filter((alarm) => alarm.ring !== undefined);
    this.#cancelled = 0;
    for (let index = (this.#heap.length >> 1) - 1; index >= 0; index--) this.#down(index);
  }

  #up(start: number): void {
    const heap = this.#heap;
    const alarm = heap[start]!;
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent]!.at <= alarm.at) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = alarm;
  }

  #down(start: number): void {
    const heap = this.#heap;
    const alarm = heap[start]!;
    let index = start;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (heap[child]!.at >= alarm.at) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = alarm;
  }
}
