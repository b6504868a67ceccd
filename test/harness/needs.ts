import { spawnSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import type { ExecutionContext } from "ava";

/**
 * Whether a program that is not required is here. Where it is not, the test is passed over, and named at the end of the
 * run together with what it wants.
 */
export function has(t: ExecutionContext, program: string): boolean {
  if (spawnSync("sh", ["-c", `command -v ${program}`]).status === 0) return true;
  passOver(t, program);
  return false;
}

/** Passes a test over for want of something, and notes it for the summary. */
export function passOver(t: ExecutionContext, want: string): void {
  const notes = process.env.PROXY_TEST_PASSED_OVER;
  if (notes !== undefined) appendFileSync(notes, `${want}: ${t.title}\n`);
  t.log(`passed over for want of ${want}`);
  t.pass();
}
