import { serverName } from "../load/hello.js";
import { freePort, startProgram } from "../processes.js";
import { type Contestant, findProgram, missingPrograms, writeSettings } from "./contestant.js";

const env = { GOMAXPROCS: "1" };

export function frp({ tcpMux }: { readonly tcpMux: boolean }): Contestant {
  return {
    name: tcpMux ? "frp" : "frp, no tcpMux",
    settings: `https type, GOMAXPROCS 1, tcpMux ${tcpMux}, no TLS of its own, pool of 5 (its cap), log level error`,
    missing: () => missingPrograms("frps", "frpc"),
    async start(place) {
      const [port, control] = [await freePort(), await freePort()];
      const server = writeSettings(place, "frps.toml", { port, control, tcpMux: String(tcpMux) });
      const client = writeSettings(place, "frpc.toml", {
        control: await place.leg(control),
        target: place.target,
        serverName,
        tcpMux: String(tcpMux),
      });
      const programs = await Promise.all([
        startProgram(findProgram("frps")!, ["-c", server], { name: "frps", env }),
        startProgram(findProgram("frpc")!, ["-c", client], { name: "frpc", env }),
      ]);
      const [publicSide, privateSide] = programs;
      return {
        port,
        programs,
        hops: [
          { title: "public", pid: publicSide.pid },
          { title: "private", pid: privateSide.pid },
        ],
      };
    },
  };
}
