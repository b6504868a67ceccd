import type { CaseResult, Sample } from "../figures.js";
import type { CpuUse, Measured } from "../measure.js";
import type { Bench } from "../stage.js";

export interface BenchCase {
  readonly letter: string;
  run(bench: Bench): Promise<CaseResult>;
}

/** CPU microseconds per thing done, for each hop. */
export function perThing(cpu: CpuUse, things: number): Sample {
  const sample: Record<string, number> = {};
  for (const [hop, seconds] of cpu.hops.entries()) sample[`hop${hop + 1}`] = (seconds * 1e6) / things;
  return sample;
}

/** The share of a core that load generator and backend took, in per cent. */
export function ownShare({ cpu, seconds }: Measured<unknown>): Sample {
  return { load: (cpu.load / seconds) * 100, backend: (cpu.backend / seconds) * 100 };
}

export const ownShareFigures = [
  { key: "load", title: "load CPU, %" },
  { key: "backend", title: "backend CPU, %" },
] as const;

/** A figure of connections that mostly failed is none. Throws where more than 1 % did. */
export function mustHaveWorked(done: number, failed: number): void {
  if (done === 0 || failed > done / 100) throw new Error(`${failed} failed, ${done} worked`);
}
