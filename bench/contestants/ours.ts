import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { serverName } from "../load/hello.js";
import { freePort, startProgram } from "../processes.js";
import type { Contestant, Place } from "./contestant.js";

const main = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

export interface OursOptions {
  readonly engine: string;
  /** For node itself, by role: a profiler's. */
  readonly nodeFlags?: (role: "public" | "private") => readonly string[];
  /** Grants beside that of the private proxy. */
  readonly grants?: readonly object[];
  /** Pooled dial-backs, in these cases. */
  readonly pooled?: { readonly pool: PoolSettings; readonly cases: readonly string[] };
}

/** As in the settings of a private proxy. */
export interface PoolSettings {
  readonly minIdle: number;
  readonly maxIdle: number;
  readonly max: number;
}

export interface OursPorts {
  readonly mesh: number;
}

/** Every dial-back is fresh, so that what one of those costs is seen. */
const noPool: PoolSettings = { minIdle: 0, maxIdle: 0, max: 0 };

/** Our pair, as `proxy run` starts it. `told` gets the ports that only the bench wants to know. */
export function ours(options: OursOptions, told: (ports: OursPorts) => void = () => {}): Contestant {
  const { engine, pooled } = options;
  const base = `transport.engine ${engine}, one worker, log.level warn, log.connections false`;
  const pool = pooled?.pool ?? noPool;
  return {
    name: pooled === undefined ? `ours (${engine})` : `ours pooled (${engine})`,
    settings: `${base}, ${poolText(pool)}`,
    ...(pooled && { cases: pooled.cases }),
    missing: () => undefined,
    async start(place) {
      const [client, rendezvous, mesh] = [await freePort(), await freePort(), await freePort()];
      told({ mesh });
      const common = {
        transport: { engine, workers: 1 },
        log: { level: "warn", format: "json", connections: false },
        shutdown: { graceMs: 0 },
      };
      const publicSettings = {
        ...common,
        name: "public-proxy-1",
        tls: { listen: `127.0.0.1:${client}` },
        rendezvous: { listen: `127.0.0.1:${rendezvous}`, advertise: [`127.0.0.1:${await place.leg(rendezvous)}`] },
        mesh: { listen: `127.0.0.1:${mesh}`, ...files(place, "public-proxy-1") },
        grants: [{ identity: "private-proxy-1", names: [serverName] }, ...(options.grants ?? [])],
        limits: { connections: 20_000, parked: 20_000 },
      };
      const privateSettings = {
        ...common,
        name: "private-proxy-1",
        mesh: { publics: [`127.0.0.1:${await place.leg(mesh)}`], ...files(place, "private-proxy-1") },
        targets: [{ names: [serverName], address: `127.0.0.1:${place.target}` }],
        pool,
      };
      const start = (role: "public" | "private", settings: object) => {
        const path = join(place.directory, `${role}.json`);
        writeFileSync(path, JSON.stringify(settings, undefined, 2));
        const flags = options.nodeFlags?.(role) ?? [];
        return startProgram(process.execPath, [...flags, main, "run", role, "--settings", path], {
          name: `${role} proxy`,
        });
      };
      const programs = await Promise.all([start("public", publicSettings), start("private", privateSettings)]);
      return {
        port: client,
        programs,
        hops: [
          { title: "public", pid: programs[0].pid },
          { title: "private", pid: programs[1].pid },
        ],
      };
    },
  };
}

function poolText({ minIdle, maxIdle, max }: PoolSettings): string {
  return `pool.minIdle ${minIdle}, maxIdle ${maxIdle}, max ${max}`;
}

function files({ certificates }: Place, name: string) {
  return {
    certificate: join(certificates, `${name}.crt`),
    key: join(certificates, `${name}.key`),
    ca: join(certificates, "root.crt"),
  };
}
