/** Targets with a cap whose figures are shown. One more is capped all the same. */
const maxShown = 4096;
const columns = 2;

/** Connections to a target with a cap, and clients that wait for it. */
export interface QueueLoad {
  readonly live: number;
  readonly queued: number;
}

/** How much there is at each target with a cap, in shared memory: its owner alone writes, the control plane reads without asking. */
export function createQueueBoard(): SharedArrayBuffer {
  return new SharedArrayBuffer(maxShown * columns * Int32Array.BYTES_PER_ELEMENT);
}

/** The owner's pen. */
export function writeQueueLoads(board: SharedArrayBuffer): (queueId: number, load: QueueLoad) => void {
  const cells = new Int32Array(board);
  return (queueId, { live, queued }) => {
    if (queueId >= maxShown) return;
    cells[queueId * columns] = live;
    cells[queueId * columns + 1] = queued;
  };
}

export function readQueueLoad(board: SharedArrayBuffer, queueId: number): QueueLoad {
  const cells = new Int32Array(board);
  return { live: cells[queueId * columns] ?? 0, queued: cells[queueId * columns + 1] ?? 0 };
}

/** Counts out what a worker had that is not there any more. */
export function clearQueueLoads(board: SharedArrayBuffer, worker: number, workers: number): void {
  const cells = new Int32Array(board);
  for (let queueId = worker; queueId < maxShown; queueId += workers)
    cells.fill(0, queueId * columns, (queueId + 1) * columns);
}
