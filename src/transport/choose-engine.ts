import { messageOf, ProxyError } from "../base/errors.js";
import { testEngine } from "./epoll/self-test.js";

export interface ChosenEngine {
  readonly engine: "epoll" | "node";
  /** A sentence for the log. */
  readonly why: string;
}

/** What worked once in this process works for all of it: the test costs tens of milliseconds, and far more on a busy machine. */
let tested: Promise<void> | undefined;

async function testOnce(): Promise<void> {
  tested ??= testEngine();
  try {
    await tested;
  } catch (error) {
    tested = undefined;
    throw error;
  }
}

/**
 * `auto` takes epoll where it passes its test on this very system, and says why where it does not. Throws
 * `engine_unavailable` where epoll was asked for and does not work.
 */
export async function chooseEngine(wanted: "auto" | "epoll" | "node"): Promise<ChosenEngine> {
  if (wanted === "node") return { engine: "node", why: "the settings say so" };
  try {
    await testOnce();
    return { engine: "epoll", why: wanted === "epoll" ? "the settings say so" : "it works here, and is the fastest" };
  } catch (error) {
    if (wanted === "epoll") throw new ProxyError("engine_unavailable", messageOf(error), { cause: error });
    return { engine: "node", why: `epoll does not work here: ${messageOf(error)}` };
  }
}
