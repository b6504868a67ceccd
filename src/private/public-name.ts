import { isIP } from "node:net";
import { type Backoff, fullJitter } from "../base/backoff.js";
import type { Now } from "../base/deadline.js";
import { signal } from "../base/signal.js";
import { createKnownAddresses } from "./known-addresses.js";

/** How often a name is looked up again while all is well. */
const usualIntervalMs = 10_000;
/** After a loss it is looked up at once, but never more often than this. */
const lookupPauseMs = 1000;

/** Follows the addresses of one host from the settings. An IP address is its own, for ever. */
export interface PublicName {
  readonly ips: readonly string[];
  /** Why there is none; undefined before the first answer, and where there are some. */
  readonly missing: { readonly why: string; readonly retryAt: Date } | undefined;
  /** Something was lost, or the network is another one: looks it up soon. */
  refresh(): void;
  close(): void;
}

export interface PublicNameOptions {
  readonly host: string;
  /** All addresses of a host, none where there are none; it need not go on once `until` has settled. Never rejects. */
  readonly lookup: (host: string, until: Promise<void>) => Promise<readonly string[]>;
  /** The pauses while no address is known. */
  readonly reconnect: { readonly minMs: number; readonly maxMs: number };
  readonly inUse: (ip: string) => boolean;
  /** It has been looked up. */
  readonly changed: () => void;
  /** It has no address; the next look-up is in `retryMs`. */
  readonly failed: (why: string, retryMs: number) => void;
  readonly now: Now;
  /** Tests: how often a name is looked up. */
  readonly lookupIntervalMs?: number;
}

export function followPublicName(options: PublicNameOptions): PublicName {
  const { host, now, lookupIntervalMs = usualIntervalMs } = options;
  const known = createKnownAddresses(now);
  const backoff: Backoff = fullJitter(options.reconnect);
  const closing = signal();
  let open = true;
  let missing: PublicName["missing"];
  /** Undefined while a look-up is under way. */
  let next: { readonly timer: NodeJS.Timeout | undefined; readonly at: number } | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;

  async function ask(): Promise<void> {
    next = undefined;
    askedAt = now();
    const found = await options.lookup(host, closing.settled);
    if (!open) return;
    known.heard(found, options.inUse);
    if (known.ips.length > 0) {
      missing = undefined;
      backoff.reset();
      schedule(lookupIntervalMs);
      options.changed();
      return;
    }
    const retryMs = backoff.next();
    missing = { why: `${host} cannot be looked up`, retryAt: new Date(Date.now() + retryMs) };
    schedule(retryMs);
    options.failed(missing.why, retryMs);
  }

  function schedule(ms: number): void {
    const forever = isIP(host) !== 0;
    next = { at: now() + ms, timer: forever ? undefined : setTimeout(ask, ms) };
  }

  void ask();
  return {
    get ips() {
      return known.ips;
    },
    get missing() {
      return missing;
    },
    refresh() {
      if (next?.timer === undefined) return;
      const ms = Math.max(0, askedAt + lookupPauseMs - now());
      if (now() + ms >= next.at) return;
      clearTimeout(next.timer);
      schedule(ms);
    },
    close() {
      open = false;
      clearTimeout(next?.timer);
      closing.settle();
    },
  };
}
