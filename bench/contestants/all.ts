import { chisel } from "./chisel.js";
import type { Contestant } from "./contestant.js";
import { direct } from "./direct.js";
import { frp } from "./frp.js";
import { haproxy } from "./haproxy.js";
import { nginx } from "./nginx.js";
import { ours, type PoolSettings } from "./ours.js";
import { plainHop, twoPlainHops } from "./plain-hop.js";
import { rathole } from "./rathole.js";
import { ssh } from "./ssh.js";

/** Idle dial-backs, enough for case b that no client has to wait for one, and for case e, where four clients come at once. */
const pools: readonly { readonly pool: PoolSettings; readonly cases: readonly string[] }[] = [
  { pool: { minIdle: 128, maxIdle: 512, max: 512 }, cases: ["b"] },
  { pool: { minIdle: 32, maxIdle: 32, max: 64 }, cases: ["e"] },
];

/** In the order of the tables. Our pair stands there once for each engine, and with pooled dial-backs on epoll. */
export function contestants(engines: readonly string[]): Contestant[] {
  return [
    direct,
    ...engines.map((engine) => ours({ engine })),
    ...engines
      .filter((engine) => engine === "epoll")
      .flatMap((engine) => pools.map((pooled) => ours({ engine, pooled }))),
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
