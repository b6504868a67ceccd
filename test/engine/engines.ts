import { createEpollTransport, type EpollOptions } from "../../src/transport/epoll/transport.js";
import { createNodeTransport } from "../../src/transport/node/transport.js";
import type { Transport } from "../../src/transport/transport.js";

/** The engine that this suite is run against: the same tests for each, chosen by PROXY_TEST_ENGINE. */
export function engineUnderTest(options?: EpollOptions): Transport {
  const name = process.env.PROXY_TEST_ENGINE ?? "node";
  if (name === "node") return createNodeTransport();
  if (name === "epoll") return createEpollTransport(options);
  throw new Error(`PROXY_TEST_ENGINE: there is no engine ${name}`);
}
