import { monotonic } from "../../base/deadline.js";

/** The longest delay a Node timer takes; a longer one would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Calls `ring` once, when the monotonic clock has reached `at`. Returns the cancel, which may be called again without
 * harm. Node's timers can fire up to a millisecond early and overflow after 24.8 days; an alarm does neither.
 */
export function alarm(at: number, ring: () => void): () => void {
  let timer: NodeJS.Timeout;
  const arm = () => {
    timer = setTimeout(check, Math.min(maxTimerMs, Math.max(0, Math.ceil(at - monotonic()))));
  };
  const check = () => {
    if (monotonic() >= at) ring();
    else arm();
  };
  arm();
  return () => clearTimeout(timer);
}
