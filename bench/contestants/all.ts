import { chisel } from "./chisel.js";
import type { Contestant } from "./contestant.js";
import { direct } from "./direct.js";
import { frp } from "./frp.js";
import { haproxy } from "./haproxy.js";
import { nginx } from "./nginx.js";
import { ours } from "./ours.js";
import { plainHop, twoPlainHops } from "./plain-hop.js";
import { rathole } from "./rathole.js";
import { ssh } from "./ssh.js";

/** In the order of the tables. Our pair stands there once for each engine. */
export function contestants(engines: readonly string[]): Contestant[] {
  return [
    direct,
    ...engines.map((engine) => ours({ engine })),
    plainHop,
    twoPlainHops({ ahead: 0 }),
    twoPlainHops({ ahead: 32 }),
    haproxy("packaged"),
    haproxy("splicing"),
    nginx,
    rathole,
    chisel,
    frp({ tcpMux: true }),
    frp({ tcpMux: false }),
    ssh,
  ];
}
