import { clearRow, createCountBoard, sumColumn } from "../base/count-board.js";

/** Sessions that are counted over all workers at once. One more is counted by each worker for itself. */
export const maxSlots = 4096;

// A row: live connections, waiting clients, parked dial-backs, clients that came from other workers after their hello, ever;
// then for each slot spliced, unanswered, parked and queued, and the clients of it that have come from other workers, ever, and
// that were sent here.
const liveAt = 0;
const waitingAt = 1;
const pooledAt = 2;
const begunAt = 3;
const firstSlotAt = 4;
const slotColumns = { spliced: 0, unanswered: 1, pooled: 2, queued: 3, arrived: 4 } as const;
/** The one column that is not written by the row's own worker. */
const passedColumn = 5;
const columnsPerSlot = 6;
const columns = firstSlotAt + columnsPerSlot * maxSlots;

/** What limits and balancing count over all workers. */
export function createLoadBoard(workers: number): SharedArrayBuffer {
  return createCountBoard({ workers, columns });
}

/** Counts a worker out that is not there any more. */
export function clearLoads(board: SharedArrayBuffer, worker: number): void {
  clearRow(board, { worker, columns });
}

/** Live connections of each worker. */
export function readLive(board: SharedArrayBuffer): number[] {
  const cells = new Int32Array(board);
  return Array.from({ length: cells.length / columns }, (_, worker) => cells[worker * columns + liveAt]!);
}

/** Clients that each worker has had from others after their hello, ever. */
export function readBegun(board: SharedArrayBuffer): number[] {
  const cells = new Int32Array(board);
  return Array.from({ length: cells.length / columns }, (_, worker) => cells[worker * columns + begunAt]!);
}

/** Parked dial-backs, over all workers. */
export function readPooled(board: SharedArrayBuffer): number {
  return sumColumn(new Int32Array(board), { column: pooledAt, columns });
}

/** What a session has to do, over all workers. */
export interface SessionLoad {
  /** Connections that are joined. */
  readonly spliced: number;
  /** Offers that nobody has answered yet. */
  readonly unanswered: number;
  /** Dial-backs that are parked for its clients. */
  readonly pooled: number;
  /** Of the unanswered ones those whose client stands in the queue of its target: they may take long. */
  readonly queued: number;
}

const none: SessionLoad = { spliced: 0, unanswered: 0, pooled: 0, queued: 0 };

/** One worker's view of the board. */
export interface Loads {
  attached(session: string, slot: number | undefined): void;
  /** What is still spliced to it counts for nobody: its slot will be another's. */
  sessionGone(session: string): void;
  countSpliced(session: string, by: 1 | -1): void;
  countUnanswered(session: string, by: 1 | -1): void;
  countPooled(session: string, by: 1 | -1): void;
  countQueued(session: string, by: 1 | -1): void;
  /** The other worker that has most parked dial-backs of a session, without those for which clients are on their way to it. */
  pooledElsewhere(session: string): number | undefined;
  /** A client of the session is on its way to another worker. Until it has arrived it counts as unanswered. */
  passedTo(worker: number, session: string): void;
  arrived(session: string): void;
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
  const sessions = new Map<string, Record<keyof typeof slotColumns, number> & { readonly slot: number | undefined }>();

  function sum(column: number): number {
    return sumColumn(cells, { column, columns });
  }

  function count(session: string, what: keyof typeof slotColumns, by: 1 | -1): void {
    const known = sessions.get(session);
    if (known === undefined) return;
    known[what] += by;
    if (known.slot !== undefined) cells[row + slotAt(known.slot) + slotColumns[what]] = known[what];
  }

  function clear(slot: number | undefined): void {
    if (slot !== undefined) cells.fill(0, row + slotAt(slot), row + slotAt(slot + 1));
  }

  function underWay(to: number, slot: number): number {
    const at = to * columns + slotAt(slot);
    return cells[at + passedColumn]! - cells[at + slotColumns.arrived]!;
  }

  return {
    attached(session, slot) {
      sessions.set(session, { slot, arrived: 0, ...none });
      // What others passed to the slot's last session in the meantime.
      clear(slot);
    },
    sessionGone(session) {
      const slot = sessions.get(session)?.slot;
      sessions.delete(session);
      clear(slot);
    },
    countSpliced: (session, by) => count(session, "spliced", by),
    countUnanswered: (session, by) => count(session, "unanswered", by),
    countQueued: (session, by) => count(session, "queued", by),
    countPooled(session, by) {
      cells[row + pooledAt] = cells[row + pooledAt]! + by;
      count(session, "pooled", by);
    },
    pooledElsewhere(session) {
      const slot = sessions.get(session)?.slot;
      if (slot === undefined) return undefined;
      let most: number | undefined;
      let pooled = 0;
      for (let other = 0; other * columns < cells.length; other++) {
        const there = cells[other * columns + slotAt(slot) + slotColumns.pooled]! - underWay(other, slot);
        if (other === worker || there <= pooled) continue;
        most = other;
        pooled = there;
      }
      return most;
    },
    passedTo(other, session) {
      const slot = sessions.get(session)?.slot;
      if (slot !== undefined) Atomics.add(cells, other * columns + slotAt(slot) + passedColumn, 1);
    },
    arrived(session) {
      cells[row + begunAt] = cells[row + begunAt]! + 1;
      count(session, "arrived", 1);
    },
    of(session) {
      const known = sessions.get(session);
      if (known?.slot === undefined) return known ?? none;
      const at = slotAt(known.slot);
      return {
        spliced: sum(at + slotColumns.spliced),
        unanswered: sum(at + slotColumns.unanswered) + sum(at + passedColumn) - sum(at + slotColumns.arrived),
        pooled: sum(at + slotColumns.pooled),
        queued: sum(at + slotColumns.queued),
      };
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
  return firstSlotAt + columnsPerSlot * slot;
}
