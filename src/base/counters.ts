import { type ReasonCode, reasonCodes } from "./reasons.js";

const fields = ["opened", "closed", "bytesUp", "bytesDown"] as const;
export type CounterField = (typeof fields)[number];

const reasonIndex = new Map<ReasonCode, number>(reasonCodes.map((code, index) => [code, fields.length + index]));
const length = fields.length + reasonCodes.length;

/**
 * The counters of one data plane, in shared memory: the data plane writes (and nobody else), the control plane reads
 * without asking. Doubles are exact to 2^53 bytes.
 */
export interface Counters {
  add(field: CounterField, by: number): void;
  refuse(code: ReasonCode): void;
  readonly buffer: SharedArrayBuffer;
}

export interface CounterTotals {
  readonly opened: number;
  readonly closed: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Only reasons that have occurred. */
  readonly refused: Partial<Record<ReasonCode, number>>;
}

export function createCounters(buffer = new SharedArrayBuffer(length * Float64Array.BYTES_PER_ELEMENT)): Counters {
  const cells = new Float64Array(buffer);
  const at = { opened: 0, closed: 1, bytesUp: 2, bytesDown: 3 } as const satisfies Record<CounterField, number>;
  return {
    buffer,
    add(field, by) {
      cells[at[field]] = cells[at[field]]! + by;
    },
    refuse(code) {
      const index = reasonIndex.get(code)!;
      cells[index] = cells[index]! + 1;
    },
  };
}

/** What a data plane has open now. */
export function openNow(buffer: SharedArrayBuffer): number {
  const cells = new Float64Array(buffer);
  return cells[0]! - cells[1]!;
}

/** How many it has ever begun, or turned away for this reason. */
export function begunOrRefused(buffer: SharedArrayBuffer, code: ReasonCode): number {
  const cells = new Float64Array(buffer);
  return cells[0]! + cells[reasonIndex.get(code)!]!;
}

/** Of a data plane that is not there any more: so many that it had open are closed. Nobody may write to it meanwhile. */
export function addClosed(buffer: SharedArrayBuffer, connections: number): void {
  const cells = new Float64Array(buffer);
  cells[1] = cells[1]! + connections;
}

/** The sum over data planes. */
export function readCounters(buffers: readonly SharedArrayBuffer[]): CounterTotals {
  const sums = new Float64Array(length);
  for (const buffer of buffers) {
    const cells = new Float64Array(buffer);
    for (let index = 0; index < length; index++) sums[index] = sums[index]! + cells[index]!;
  }
  const refused: Partial<Record<ReasonCode, number>> = {};
  for (const [code, index] of reasonIndex) if (sums[index]! > 0) refused[code] = sums[index]!;
  return { opened: sums[0]!, closed: sums[1]!, bytesUp: sums[2]!, bytesDown: sums[3]!, refused };
}
