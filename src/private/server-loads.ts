import { clearRow, createCountBoard, sumColumn } from "../base/count-board.js";

/** Addresses of targets whose connections are counted over all workers at once. One more is counted by each for itself. */
export const maxSlots = 4096;

/** How many connections each address of each target has, over all workers. */
export function createServerBoard(workers: number): SharedArrayBuffer {
  return createCountBoard({ workers, columns: maxSlots });
}

/** Counts a worker out that is not there any more. */
export function clearServers(board: SharedArrayBuffer, worker: number): void {
  clearRow(board, { worker, columns: maxSlots });
}

/** What all workers have there now. */
export function readConnections(board: SharedArrayBuffer, slot: number): number {
  return sumColumn(new Int32Array(board), { column: slot, columns: maxSlots });
}

/** What is counted of one address. */
export interface Counted {
  /** Undefined where it has none, or is gone: what is still open there counts for nobody. */
  slot: number | undefined;
  /** Of this worker. */
  connections: number;
}

/** One worker's view of the board. Connections count from when they are dialled. */
export interface ServerLoads {
  count(server: Counted, by: 1 | -1): void;
  of(server: Counted): number;
  /** Its slot will be another's. */
  gone(server: Counted): void;
}

export function createServerLoads(board: SharedArrayBuffer, worker: number): ServerLoads {
  const cells = new Int32Array(board);
  const row = worker * maxSlots;
  return {
    count(server, by) {
      server.connections += by;
      if (server.slot !== undefined) cells[row + server.slot] = server.connections;
    },
    of: ({ slot, connections }) =>
      slot === undefined ? connections : sumColumn(cells, { column: slot, columns: maxSlots }),
    gone(server) {
      if (server.slot !== undefined) cells[row + server.slot] = 0;
      server.slot = undefined;
    },
  };
}
