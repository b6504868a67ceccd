import { serverName } from "../load/hello.js";
import { freePort, startProgram } from "../processes.js";
import { type Contestant, findProgram, missingPrograms, writeSettings } from "./contestant.js";

const forms = {
  packaged: { settings: "nbthread 1, no logs", global: "", defaults: "" },
  splicing: {
    settings: "nbthread 1, no logs, option splice-request and splice-response, tune.pipesize 262144",
    global: "tune.pipesize 262144",
    defaults: "option splice-request\n  option splice-response",
  },
};

export function haproxy(form: keyof typeof forms): Contestant {
  const { settings, global, defaults } = forms[form];
  return {
    name: form === "packaged" ? "haproxy" : "haproxy, splicing",
    settings,
    missing: () => missingPrograms("haproxy"),
    async start(place) {
      const port = await freePort();
      const target = await place.leg(place.target);
      const path = writeSettings(place, "haproxy.cfg", { port, target, serverName, global, defaults });
      const program = await startProgram(findProgram("haproxy")!, ["-db", "-f", path], { name: "haproxy" });
      return { port, programs: [program], hops: [{ title: "proxy", pid: program.pid }] };
    },
  };
}
