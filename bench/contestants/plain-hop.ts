import { fileURLToPath } from "node:url";
import { loadLibc } from "../../src/transport/epoll/libc.js";
import { freePort, startProgram } from "../processes.js";
import type { Contestant } from "./contestant.js";

const script = fileURLToPath(new URL("../plain-hop.js", import.meta.url));

/** Our epoll engine in one hop, without a rendezvous: no proxy of ours, but what one would cost. */
export const plainHop: Contestant = {
  name: "plain hop (epoll)",
  settings: "accept, connect, splice through the engine: one thread, no name, no rendezvous",
  missing() {
    try {
      loadLibc();
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  },
  async start(place) {
    const port = await freePort();
    const target = await place.leg(place.target);
    const program = await startProgram(process.execPath, [script, String(port), String(target)], { name: "plain hop" });
    return { port, programs: [program], hops: [{ title: "proxy", pid: program.pid }] };
  },
};
