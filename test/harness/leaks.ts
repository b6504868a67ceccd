import { readdirSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import type { TestFn } from "ava";

/** How long closing sockets, timers and children may take to be gone. */
const patienceMs = 5000;
const lookEveryMs = 20;

/** How many there are of each kind: open descriptors by what they point to, active resources by type. */
type Inventory = ReadonlyMap<string, number>;

/**
 * Registers hooks which assert that a test file leaves no descriptor, socket, timer or child process behind. Call it
 * before the file's own hooks. Descriptors are looked at where /proc is.
 */
export function assertNothingLeft(test: TestFn<unknown>): void {
  let baseline: Inventory = new Map();

  test.before("what is open before the tests is noted", async () => {
    // The first socket makes libuv open a spare descriptor, which stays.
    await new Promise<void>((resolve) => {
      const server = createServer().listen(0, "127.0.0.1", () => server.close(() => resolve()));
    });
    baseline = takeInventory();
  });

  test.after.always("no descriptor, socket, timer or child process is left over", async (t) => {
    const giveUpAt = performance.now() + patienceMs;
    let left = leftOver(baseline);
    while (left.length > 0 && performance.now() < giveUpAt) {
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
      left = leftOver(baseline);
    }
    t.deepEqual(left, []);
  });
}

function leftOver(baseline: Inventory): string[] {
  const left: string[] = [];
  for (const [kind, count] of takeInventory()) {
    const more = count - (baseline.get(kind) ?? 0);
    if (more > 0) left.push(`${more} x ${kind}`);
  }
  return left;
}

function takeInventory(): Inventory {
  const inventory = new Map<string, number>();
  for (const kind of [...openDescriptors(), ...process.getActiveResourcesInfo()]) {
    inventory.set(kind, (inventory.get(kind) ?? 0) + 1);
  }
  return inventory;
}

function openDescriptors(): string[] {
  const kinds: string[] = [];
  for (const number of listDescriptors()) {
    try {
      // `socket:[4711]`: one is as good as another.
      kinds.push(`descriptor of ${readlinkSync(`/proc/self/fd/${number}`).replace(/:\[\d+\]$/, "")}`);
    } catch {
      // The one that the listing itself was made with.
    }
  }
  return kinds;
}

function listDescriptors(): string[] {
  try {
    return readdirSync("/proc/self/fd");
  } catch {
    return [];
  }
}
