import type { Log } from "../base/log.js";
import type { MeshServer } from "../mesh/server.js";
import type { PublicControlPlane } from "./control-plane.js";
import type { Predecessor } from "./predecessor.js";

/**
 * How long clients may wait in the system's queue for private proxies to come over. They attach at once, but a network may
 * be slow and 10,000 names take a second; who comes later serves its clients then.
 */
const attachMs = 5000;

/**
 * Takes the place of the process that serves so far, when all is there to serve: private proxies come over first, then
 * that one accepts nobody any more, then this one accepts. Throws `address_in_use` where that one has changed its mind.
 */
export async function takeOver(
  predecessor: Predecessor,
  { control, mesh, log }: { readonly control: PublicControlPlane; readonly mesh: MeshServer; readonly log: Log },
): Promise<void> {
  const { pid } = predecessor;
  log.info({ pid }, "taking over from the process that runs");
  const expected = await predecessor.ready();
  await mesh.accept();
  await control.haveCome(expected, attachMs);
  await predecessor.attached();
  control.accept();
  log.info({ pid, privateProxies: control.attached, expected: expected.length }, "taken over");
}
