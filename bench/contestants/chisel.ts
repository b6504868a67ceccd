import { freePort, startProgram } from "../processes.js";
import { type Contestant, findProgram, missingPrograms } from "./contestant.js";

const env = { GOMAXPROCS: "1" };

export const chisel: Contestant = {
  name: "chisel",
  settings: "GOMAXPROCS 1, all streams over one SSH connection in a WebSocket, encrypted (cannot be turned off)",
  missing: () => missingPrograms("chisel"),
  async start(place) {
    const [port, control] = [await freePort(), await freePort()];
    const program = findProgram("chisel")!;
    const server = ["server", "--host", "127.0.0.1", "--port", String(control), "--reverse"];
    const remote = `R:127.0.0.1:${port}:127.0.0.1:${place.target}`;
    const url = `http://127.0.0.1:${await place.leg(control)}`;
    const programs = await Promise.all([
      startProgram(program, server, { name: "chisel server", env }),
      startProgram(program, ["client", "--max-retry-interval", "500ms", url, remote], { name: "chisel client", env }),
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
