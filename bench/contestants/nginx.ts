import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { serverName } from "../load/hello.js";
import { freePort, startProgram } from "../processes.js";
import { type Contestant, findProgram, missingPrograms, writeSettings } from "./contestant.js";

/** Where Debian's package libnginx-mod-stream puts it; other builds have it compiled in. */
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so";

export const nginx: Contestant = {
  name: "nginx",
  settings: "ssl_preread, worker_processes 1, no logs, tcp_nodelay (its default)",
  missing: () => missingPrograms("nginx"),
  async start(place) {
    const port = await freePort();
    const target = await place.leg(place.target);
    const loadModule = existsSync(streamModule) ? `load_module ${streamModule};` : "";
    mkdirSync(join(place.directory, "logs"), { recursive: true });
    const path = writeSettings(place, "nginx.conf", { port, target, serverName, loadModule });
    const program = await startProgram(findProgram("nginx")!, ["-p", place.directory, "-c", path], { name: "nginx" });
    return { port, programs: [program], hops: [{ title: "proxy", pid: program.pid }] };
  },
};
