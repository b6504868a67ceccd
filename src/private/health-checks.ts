import { monotonic } from "../base/deadline.js";
import type { Log } from "../base/log.js";
import type { ResolvedAddress } from "../transport/transport.js";
import { type Health, type Probe, type ProbeResult, unchecked, type Watch, watchHealth } from "./health.js";
import { startProbe } from "./probe.js";
import type { NumberedServer, NumberedTarget } from "./target-book.js";

/** Checks under way at once, of all targets together: each takes a descriptor, and the main thread does them all. */
const maxAtOnce = 256;

/** The health checks of all targets. */
export interface HealthChecks {
  /** Makes the checks those of these targets. What is known of others stays known. */
  follow(targets: readonly NumberedTarget[]): void;
  of(server: NumberedServer): Health;
  /** Ends every check, also those under way. */
  close(): void;
}

export interface HealthChecksOptions {
  readonly log: Log;
  /** Where a server is now; undefined as long as its name has not been looked up yet, and it is not checked before. */
  readonly addressesOf: (server: NumberedServer) => readonly ResolvedAddress[] | undefined;
  /**
   * Whether the target has as many connections as it may have. A server with few places that answers nobody meanwhile would
   * not answer a check either: it is not checked then.
   */
  readonly isFull: (target: NumberedTarget) => boolean;
  /** Addresses are up, or down, that were not before. */
  readonly changed: () => void;
  /** Tests do without sockets. */
  readonly probe?: typeof startProbe;
}

export function createHealthChecks(options: HealthChecksOptions): HealthChecks {
  const { log, addressesOf, isFull, probe = startProbe } = options;
  const watches = new Map<NumberedServer, Watch>();
  /** Whose they are, as stated last. */
  let targetOf = new Map<NumberedServer, NumberedTarget>();
  const known = new WeakMap<NumberedServer, Health>();
  const turns = createTurns();
  let open = true;
  let isToldSoon = false;

  function watch(target: NumberedTarget, server: NumberedServer): void {
    const check = target.healthCheck!;
    const started = watchHealth({
      check,
      probe: () => turns.take(() => probe({ check, target, addresses: addressesOf(server) ?? [] })),
      isBusy: () => isFull(targetOf.get(server) ?? target),
      changed(health) {
        known.set(server, health);
        tell(target, server, health);
        tellSoon();
      },
      now: monotonic,
      after(ms, ring) {
        const timer = setTimeout(ring, ms);
        return () => clearTimeout(timer);
      },
      random: Math.random,
    });
    watches.set(server, started);
  }

  /** Once for each round of the loop: whoever is told publishes all targets, and thousands may be checked at a start. */
  function tellSoon(): void {
    if (isToldSoon) return;
    isToldSoon = true;
    setImmediate(() => {
      isToldSoon = false;
      if (open) options.changed();
    });
  }

  function tell({ names, servers }: NumberedTarget, { text }: NumberedServer, health: Health): void {
    const addressesUp = servers.filter((server) => known.get(server)?.state === "up").length;
    const fields = { target: text, name: names[0], addressesUp };
    if (health.state !== "down") log.info(fields, "target is up");
    else if (addressesUp > 0)
      log.warn({ ...fields, why: health.why }, "target is down: its clients go to its other addresses");
    else log.warn({ ...fields, why: health.why }, "target is down: its names are withdrawn");
  }

  return {
    follow(targets) {
      if (!open) return;
      const wanted = new Map<NumberedServer, NumberedTarget>();
      for (const target of targets) {
        if (target.healthCheck !== undefined) for (const server of target.servers) wanted.set(server, target);
      }
      targetOf = wanted;
      for (const [server, { stop }] of watches) {
        if (wanted.has(server)) continue;
        watches.delete(server);
        stop();
      }
      for (const [server, target] of wanted) {
        if (!watches.has(server) && addressesOf(server) !== undefined) watch(target, server);
      }
    },
    // What is checked now also says why of the last check, which `changed` does not tell of.
    of: (server) => watches.get(server)?.health ?? known.get(server) ?? unchecked,
    close() {
      open = false;
      for (const { stop } of watches.values()) stop();
      watches.clear();
    },
  };
}

/** Lets so many probes run at once; the others wait for their turn, in the order in which they came. */
function createTurns() {
  const waiting = new Set<() => void>();
  let running = 0;

  function next(): void {
    for (const begin of waiting) {
      if (running >= maxAtOnce) return;
      waiting.delete(begin);
      begin();
    }
  }

  return {
    take(start: () => Probe): Probe {
      let begun: Probe | undefined;
      let giveUp!: (result: ProbeResult) => void;
      const result = new Promise<ProbeResult>((resolve) => {
        giveUp = resolve;
      });
      const begin = () => {
        running++;
        begun = start();
        void begun.result.then((outcome) => {
          running--;
          giveUp(outcome);
          next();
        });
      };
      waiting.add(begin);
      next();
      return {
        result,
        cancel() {
          waiting.delete(begin);
          if (begun === undefined) giveUp({ status: "failed", why: "the check was given up" });
          else begun.cancel();
        },
      };
    },
  };
}
