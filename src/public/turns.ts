import type { Now } from "../base/deadline.js";
import { ProxyError } from "../base/errors.js";
import { whomToAsk } from "./balance.js";
import type { LiveConnection } from "./live-connections.js";
import type { Loads } from "./loads.js";
import type { PublicDataPlaneConfig } from "./messages.js";
import type { Announcer, Names } from "./names.js";
import { createOutliers, type Outliers } from "./outliers.js";
import { createWatchAttempt, type WatchAttempt } from "./watch-attempt.js";

/** Whose turn it is, and what became of it. */
export interface Turns {
  /** Whom to ask next, among those not yet tried; undefined when all were. Throws `private_proxies_full`. */
  next(
    client: Pick<LiveConnection, "serverName" | "source" | "chosen">,
    announcers: readonly Announcer[],
    tried: { has(session: string): boolean },
  ): Announcer | undefined;
  readonly watch: WatchAttempt;
  readonly outliers: Outliers;
}

export function createTurns(options: {
  readonly now: Now;
  readonly names: Pick<Names, "balanceOf">;
  readonly loads: Pick<Loads, "of">;
  readonly config: () => PublicDataPlaneConfig;
  /** Is told of a session that may hang. */
  readonly suspect: (session: string) => void;
}): Turns {
  const { now, names, loads, config, suspect } = options;
  const outliers = createOutliers({ now });
  return {
    next({ serverName, source, chosen }, announcers, tried) {
      const next = whomToAsk({
        announcers,
        tried,
        loadOf: loads.of,
        maxPerPrivateProxy: config().maxPerPrivateProxy,
        outliers,
        chosen,
        method: names.balanceOf(serverName),
        source: source.family === "unix" ? undefined : source.address,
      });
      if (next.status === "full") throw new ProxyError("private_proxies_full");
      return next.status === "announcer" ? next.announcer : undefined;
    },
    watch: createWatchAttempt({
      now,
      patienceMs: () => Math.min(config().attemptTimeoutMs, config().deadlineMs),
      outliers,
      suspect,
    }),
    outliers,
  };
}
