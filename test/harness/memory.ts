import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const collectGarbage = (() => {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
})();

/** What this process holds, garbage not counted. `buffers` are those behind typed arrays; they stand outside the heap. */
export async function memoryAlive(): Promise<{ readonly heapBytes: number; readonly bufferBytes: number }> {
  // What one collection finds is freed aside, and counted as free by the next.
  for (let round = 0; round < 3; round++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heapBytes: heapUsed, bufferBytes: arrayBuffers };
}
