import { fileURLToPath } from "node:url";
import { loadLibc } from "../../src/transport/epoll/libc.js";
import { freePort, type RunningProgram, startProgram } from "../processes.js";
import type { Contestant } from "./contestant.js";

const script = fileURLToPath(new URL("../plain-hop.js", import.meta.url));

function missing(): string | undefined {
  try {
    loadLibc();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function startHop(name: string, port: number, target: number, ahead = 0): Promise<RunningProgram> {
  return startProgram(process.execPath, [script, String(port), String(target), String(ahead)], { name });
}

/** Our epoll engine in one hop, without a rendezvous: no proxy of ours, but what one would cost. */
export const plainHop: Contestant = {
  name: "plain hop (epoll)",
  settings: "accept, connect, splice through the engine: one thread, no name, no rendezvous",
  missing,
  async start(place) {
    const port = await freePort();
    const target = await place.leg(place.target);
    const program = await startHop("plain hop", port, target);
    return { port, programs: [program], hops: [{ title: "proxy", pid: program.pid }] };
  },
};

/**
 * The pair's two hops without a rendezvous: the second one listens and is dialled, which is what a private proxy cannot be,
 * and the second leg lies between them, with the target beside the second one. `ahead`: connections between the two that
 * are open before a client comes, as pooled dial-backs are.
 */
export function twoPlainHops({ ahead }: { readonly ahead: number }): Contestant {
  return {
    name: ahead === 0 ? "two plain hops" : "two plain hops, warm",
    settings: `the same twice; the first dials the second ${ahead === 0 ? "for each client" : `in advance, ${ahead} times`}`,
    cases: ["e"],
    missing,
    async start(place) {
      const [port, between] = [await freePort(), await freePort()];
      const second = await startHop("second plain hop", between, place.target);
      const first = await startHop("first plain hop", port, await place.leg(between), ahead);
      return {
        port,
        programs: [first, second],
        hops: [
          { title: "public", pid: first.pid },
          { title: "private", pid: second.pid },
        ],
      };
    },
  };
}
