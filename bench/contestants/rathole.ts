import { freePort, startProgram } from "../processes.js";
import { type Contestant, findProgram, missingPrograms, writeSettings } from "./contestant.js";

const env = { TOKIO_WORKER_THREADS: "1", RUST_LOG: "error" };

export const rathole: Contestant = {
  name: "rathole",
  settings: "one tokio worker, nodelay, no TLS of its own, its pool of 8 (default)",
  missing: () => missingPrograms("rathole"),
  async start(place) {
    const [port, control] = [await freePort(), await freePort()];
    const server = writeSettings(place, "rathole-server.toml", { port, control });
    const client = writeSettings(place, "rathole-client.toml", {
      control: await place.leg(control),
      target: place.target,
    });
    const rathole = findProgram("rathole")!;
    const programs = await Promise.all([
      startProgram(rathole, ["--server", server], { name: "rathole server", env }),
      startProgram(rathole, ["--client", client], { name: "rathole client", env }),
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
