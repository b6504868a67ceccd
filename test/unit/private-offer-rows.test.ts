import test from "ava";
import { inThreadPorts } from "../../src/base/port.js";
import type { IncomingOffer, ToPrivateDataPlane } from "../../src/private/messages.js";
import { type ToPrivateWorker, toRows, withOffers } from "../../src/private/offer-rows.js";

const message = Uint8Array.from({ length: 256 }, (_, byte) => byte);
const offer = (from: number, serverName?: string): IncomingOffer => ({
  token: message.subarray(from, from + 32),
  announcementId: 7,
  serverName,
  client: "[2001:db8::1]:443",
  endpoint: 1,
  msLeft: 4999,
  connectionId: "a1b2-3",
});

/** What a worker is handed out of messages that have passed between threads. */
async function handed(...messages: ToPrivateWorker[]): Promise<ToPrivateDataPlane[]> {
  const [main, worker] = inThreadPorts<never, ToPrivateWorker>({ clone: true });
  const received: ToPrivateDataPlane[] = [];
  withOffers(worker).receive((one) => received.push(one));
  for (const one of messages) main.post(one);
  await new Promise(setImmediate);
  return received;
}

test("offers that pass to a worker as rows come out as they were, and nothing else is touched", async (t) => {
  const offers = [offer(0, "shop.example"), offer(111), offer(224, "*.example")];
  const cancel = { type: "cancel", token: new Uint8Array(32) } as const;
  t.deepEqual(await handed(toRows("s", offers), cancel), [{ type: "offers", session: "s", offers }, cancel]);
});

test("a token that a worker was handed has memory of its own, which is all that a message takes along", async (t) => {
  const [first] = await handed(toRows("s", [offer(32), offer(64)]));
  t.true(first?.type === "offers");
  if (first?.type !== "offers") return;
  for (const { token } of first.offers) t.is(token.buffer.byteLength, 32);
});
