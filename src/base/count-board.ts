/**
 * Counts in shared memory: one row for each worker, which alone writes it, so that no count is lost to another's; whoever
 * wants a figure adds up the column. Sums may be a moment old, so a limit can be passed by as many as there are workers.
 */
export function createCountBoard({ workers, columns }: { workers: number; columns: number }): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * columns * Int32Array.BYTES_PER_ELEMENT);
}

/** Counts a worker out that is not there any more. */
export function clearRow(board: SharedArrayBuffer, { worker, columns }: { worker: number; columns: number }): void {
  new Int32Array(board).fill(0, worker * columns, (worker + 1) * columns);
}

/** What all workers have counted there. */
export function sumColumn(cells: Int32Array, { column, columns }: { column: number; columns: number }): number {
  let total = 0;
  for (let at = column; at < cells.length; at += columns) total += cells[at]!;
  return total;
}

/** Places on a board, as the control plane gives them out: each to one owner at a time. */
export interface Slots<Owner> {
  /** Undefined where none is left: such an owner is counted by each worker for itself. */
  take(owner: Owner): number | undefined;
  free(owner: Owner): void;
}

export function createSlots<Owner>(max: number): Slots<Owner> {
  const taken = new Map<Owner, number>();
  const returned: number[] = [];
  let next = 0;
  return {
    take(owner) {
      const slot = returned.pop() ?? (next < max ? next++ : undefined);
      if (slot !== undefined) taken.set(owner, slot);
      return slot;
    },
    free(owner) {
      const slot = taken.get(owner);
      if (slot === undefined) return;
      taken.delete(owner);
      returned.push(slot);
    },
  };
}
