import { type Deadline, deadlineIn, msLeft, sooner } from "../base/deadline.js";
import { messageOf, ProxyError } from "../base/errors.js";
import type { ReasonCode } from "../base/reasons.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { Connecting, ResolvedAddress, Transport } from "../transport/transport.js";

/** Tries addresses in turn until one is connected. */
export interface DialOptions {
  readonly addresses: readonly ResolvedAddress[];
  /**
   * Every attempt ends by then, and each has no more than its share of the time, so that an address that does not answer
   * leaves some for the others. The last error is thrown under `code`.
   */
  readonly deadline: Deadline;
  readonly code: ReasonCode;
  readonly what: string;
  readonly worked?: (index: number) => void;
}

/**
 * Each address gets an equal share of the time that is left, so that one that swallows packets does not take it all.
 * `connected` throws `code` when none could be reached, `offer_cancelled` after `cancel`.
 */
export function dialInTurn(transport: Transport, options: DialOptions): Connecting {
  let cancelled = false;
  let current: Connecting | undefined;

  async function dial(): Promise<Endpoint> {
    let cause: unknown;
    for (const [index, address] of options.addresses.entries()) {
      if (cancelled || msLeft(options.deadline) === 0) break;
      const share = msLeft(options.deadline) / (options.addresses.length - index);
      current = transport.connect(address, sooner(deadlineIn(share, options.deadline.code), options.deadline));
      try {
        const endpoint = await current.connected;
        if (cancelled) break;
        options.worked?.(index);
        return endpoint;
      } catch (error) {
        cause = error;
      }
    }
    if (cancelled) throw new ProxyError("offer_cancelled");
    const why = cause === undefined ? "no address is known, or there is no time left" : messageOf(cause);
    throw new ProxyError(options.code, `${options.what}: ${why}`, { cause });
  }

  const connected = dial();
  // Whoever waits for two connections at once may give this one up without having looked at it.
  connected.catch(() => {});
  return {
    connected,
    cancel() {
      cancelled = true;
      current?.cancel();
    },
  };
}
