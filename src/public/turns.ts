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
  /**
   * Whom to ask next, among those not yet tried; undefined when all were. Throws `private_proxies_full`. From here on it has a
   * client more, until `over`: of a burst that arrives together each must see whom the others chose.
   */
  next(
    client: Pick<LiveConnection, "serverName" | "source" | "chosen">,
    announcers: readonly Announcer[],
    tried: { has(session: string): boolean },
  ): Announcer | undefined;
  /** The turn is over: the client has its verdict, or waits for none, or is on its way to another worker. */
  over(announcer: Announcer, wasQueued: boolean): void;
  /** Its private proxy has said that the client stands in the queue of its target. */
  queued(announcer: Announcer): void;
  readonly watch: WatchAttempt;
  readonly outliers: Outliers;
}

export function createTurns(options: {
  readonly now: Now;
  readonly names: Pick<Names, "balanceOf">;
  readonly loads: Pick<Loads, "of" | "countUnanswered" | "countQueued">;
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
      if (next.status === "nobody") return undefined;
      loads.countUnanswered(next.announcer.session.session, 1);
      return next.announcer;
    },
    over({ session: { session } }, wasQueued) {
      loads.countUnanswered(session, -1);
      if (wasQueued) loads.countQueued(session, -1);
    },
    queued: ({ session: { session } }) => loads.countQueued(session, 1),
    watch: createWatchAttempt({
      now,
      patienceMs: () => Math.min(config().attemptTimeoutMs, config().deadlineMs),
      outliers,
      suspect,
    }),
    outliers,
  };
}
