/** A delay line in a process of its own: it tells its port, then measures itself. Arguments: target port, delay in ms. */
import { openDelayLine } from "./delay-line.js";
import { report, runLoad } from "./program.js";

export interface DelayResult {
  readonly errorsMs: readonly number[];
}

const [target, delayMs] = process.argv.slice(2).map(Number);
const line = await openDelayLine(target!, delayMs!);
runLoad<undefined, DelayResult>(() => ({
  begin: () => void line.errorsMs(),
  result: () => ({ errorsMs: line.errorsMs() }),
  stop: async () => {},
}));
report({ type: "listening", port: line.port });
