/** Sessions that are counted over all workers at once. One more is counted by each worker for itself. */
const maxSlots = 4096;

// A row: live connections, waiting clients, then spliced and unanswered for each slot.
const liveAt = 0;
const waitingAt = 1;
const firstSlotAt = 2;
const columns = firstSlotAt + 2 * maxSlots;

/**
 * What limits and balancing count, in shared memory: one row for each worker, which alone writes it, so that no count is
 * lost to another's; whoever wants a figure adds up the column. Sums may be a moment old, so a limit can be passed by as
 * many as there are workers.
 */
export function createLoadBoard(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * columns * Int32Array.BYTES_PER_ELEMENT);
}

/** Counts a worker out that is not there any more. */
export function clearLoads(board: SharedArrayBuffer, worker: number): void {
  new Int32Array(board).fill(0, worker * columns, (worker + 1) * columns);
}

/** Live connections of each worker. */
export function readLive(board: SharedArrayBuffer): number[] {
  const cells = new Int32Array(board);
  return Array.from({ length: cells.length / columns }, (_, worker) => cells[worker * columns + liveAt]!);
}

/** What a session has to do, over all workers. */
export interface SessionLoad {
  /** Connections that are joined. */
  readonly spliced: number;
  /** Offers that nobody has answered yet. */
  readonly unanswered: number;
}

/** One worker's view of the board. */
export interface Loads {
  attached(session: string, slot: number | undefined): void;
  /** What is still spliced to it counts for nobody: its slot will be another's. */
  sessionGone(session: string): void;
  countSpliced(session: string, by: 1 | -1): void;
  countUnanswered(session: string, by: 1 | -1): void;
  of(session: string): SessionLoad;
  setLive(count: number): void;
  countWaiting(by: 1 | -1): void;
  /** Of all workers together. */
  readonly live: number;
  readonly waiting: number;
  liveOf(worker: number): number;
}

export function createLoads(board: SharedArrayBuffer, worker: number): Loads {
  const cells = new Int32Array(board);
  const row = worker * columns;
  const sessions = new Map<string, { readonly slot: number | undefined; spliced: number; unanswered: number }>();

  function sum(column: number): number {
    let total = 0;
    for (let at = column; at < cells.length; at += columns) total += cells[at]!;
    return total;
  }

  function count(session: string, what: "spliced" | "unanswered", by: 1 | -1): void {
    const known = sessions.get(session);
    if (known === undefined) return;
    known[what] += by;
    if (known.slot !== undefined) cells[row + slotAt(known.slot) + (what === "spliced" ? 0 : 1)] = known[what];
  }

  return {
    attached: (session, slot) => void sessions.set(session, { slot, spliced: 0, unanswered: 0 }),
    sessionGone(session) {
      const slot = sessions.get(session)?.slot;
      sessions.delete(session);
      if (slot !== undefined) cells.fill(0, row + slotAt(slot), row + slotAt(slot + 1));
    },
    countSpliced: (session, by) => count(session, "spliced", by),
    countUnanswered: (session, by) => count(session, "unanswered", by),
    of(session) {
      const known = sessions.get(session);
      if (known?.slot === undefined) return known ?? { spliced: 0, unanswered: 0 };
      const at = slotAt(known.slot);
      return { spliced: sum(at), unanswered: sum(at + 1) };
    },
    setLive(live) {
      cells[row + liveAt] = live;
    },
    countWaiting(by) {
      cells[row + waitingAt] = cells[row + waitingAt]! + by;
    },
    get live() {
      return sum(liveAt);
    },
    get waiting() {
      return sum(waitingAt);
    },
    liveOf: (other) => cells[other * columns + liveAt]!,
  };
}

function slotAt(slot: number): number {
  return firstSlotAt + 2 * slot;
}

/** The slots of the board, as the control plane gives them out: each to one session at a time. */
export interface Slots {
  /** Undefined where none is left. */
  take(session: string): number | undefined;
  free(session: string): void;
}

export function createSlots(max = maxSlots): Slots {
  const taken = new Map<string, number>();
  const returned: number[] = [];
  let next = 0;
  return {
    take(session) {
      const slot = returned.pop() ?? (next < max ? next++ : undefined);
      if (slot !== undefined) taken.set(session, slot);
      return slot;
    },
    free(session) {
      const slot = taken.get(session);
      if (slot === undefined) return;
      taken.delete(session);
      returned.push(slot);
    },
  };
}
