import test from "ava";
import { createCounters } from "../../src/base/counters.js";
import { createLiveConnections } from "../../src/public/live-connections.js";
import type { Endpoint, Hangup } from "../../src/transport/endpoint.js";

function client() {
  let hangUp!: (hangup: Hangup) => void;
  const hangup = new Promise<Hangup>((resolve) => {
    hangUp = resolve;
  });
  const address = { family: "unix" } as const;
  const endpoint = { remote: address, local: address, hangup, destroy() {}, end() {} } as unknown as Endpoint;
  return { endpoint, hangUp };
}

test("what is to be abandoned when the client leaves is abandoned at once where it has left already", async (t) => {
  const connections = createLiveConnections({ counters: createCounters(), now: () => 0, ended() {} });
  const { endpoint, hangUp } = client();
  const connection = connections.open(endpoint);
  const abandoned: string[] = [];
  connection.whenGone(() => abandoned.push("the parked token"));
  hangUp("reset");
  await Promise.resolve();
  // The dial-back was claimed in the same turn: nobody else would ever close it.
  connection.whenGone(() => abandoned.push("the dial-back"));
  t.deepEqual(abandoned, ["the parked token", "the dial-back"]);
});
