import { ProxyError } from "../base/errors.js";
import type { Alarm } from "../transport/transport.js";

export interface QueueLimits {
  /** Infinity: the cap was lifted. */
  readonly maxConnections: number;
  /** Clients that may wait. */
  readonly max: number;
  readonly timeoutMs: number;
}

/** One client's place: at the target, or in the queue for it. */
export interface Place {
  /** Undefined where there was a place at the target at once. */
  readonly wait: Wait | undefined;
  /**
   * Out of the queue, or away from the target, where the one that waits longest takes over in the same turn. The client's
   * connection to the target must be closed by then. May be called again without harm.
   */
  leave(): void;
}

export interface Wait {
  /** The longest it may take, in milliseconds. */
  readonly maxMs: number;
  /**
   * Resolves when the place at the target is the client's. Throws `target_queue_timeout`, `offer_cancelled` after `leave`, or
   * what all were called off with. It need not be looked at.
   */
  readonly over: Promise<void>;
}

/** Who is at a target with a cap, and who waits for it: first in, first out. */
export interface TargetQueue {
  /** Throws `target_queue_full`. */
  enter(): Place;
  /**
   * Lets in whom a higher cap has room for. Nobody is sent away: who is beyond a lower one goes on, and who waits already
   * may do so for as long as it was told.
   */
  configure(limits: QueueLimits): void;
  /** Sends away all who wait; who is at the target stays. */
  callOff(error: ProxyError): void;
  /** At the target, or on the way there. */
  readonly live: number;
  readonly queued: number;
}

export interface TargetQueueOptions {
  readonly limits: QueueLimits;
  readonly now: () => number;
  readonly alarm: Alarm;
  /** Called whenever `live` or `queued` has changed. Must not throw. */
  readonly changed?: (live: number, queued: number) => void;
}

/** One that waits. Its alarm ends with it. */
interface Waiting {
  admit(): void;
  sendAway(error: ProxyError): void;
}

/** Where there is room at the target nobody waits. */
export function createTargetQueue({ limits: first, now, alarm, changed }: TargetQueueOptions): TargetQueue {
  let limits = first;
  let live = 0;
  /** In the order in which they came. */
  const waiting = new Set<Waiting>();

  const tell = () => changed?.(live, waiting.size);

  function letIn(): void {
    for (const oldest of waiting) {
      if (live >= limits.maxConnections) return;
      waiting.delete(oldest);
      live++;
      oldest.admit();
    }
  }

  function leaveTarget(): void {
    live--;
    letIn();
    tell();
  }

  function queueUp(): Place {
    let state: "waiting" | "at the target" | "gone" = "waiting";
    const { timeoutMs } = limits;
    let admit!: () => void;
    let fail!: (error: ProxyError) => void;
    const over = new Promise<void>((resolve, reject) => {
      admit = resolve;
      fail = reject;
    });
    over.catch(() => {});
    const cancelAlarm = alarm(now() + timeoutMs, () => sendAway(new ProxyError("target_queue_timeout")));
    const self: Waiting = {
      admit() {
        state = "at the target";
        cancelAlarm();
        admit();
      },
      sendAway,
    };

    function sendAway(error: ProxyError): void {
      if (state !== "waiting") return;
      state = "gone";
      cancelAlarm();
      waiting.delete(self);
      fail(error);
      tell();
    }

    waiting.add(self);
    tell();
    return {
      wait: { maxMs: timeoutMs, over },
      leave() {
        if (state === "waiting") return sendAway(new ProxyError("offer_cancelled"));
        if (state === "gone") return;
        state = "gone";
        leaveTarget();
      },
    };
  }

  return {
    enter() {
      if (live >= limits.maxConnections) {
        if (waiting.size >= limits.max) throw new ProxyError("target_queue_full");
        return queueUp();
      }
      live++;
      tell();
      let gone = false;
      return {
        wait: undefined,
        leave() {
          if (gone) return;
          gone = true;
          leaveTarget();
        },
      };
    },
    configure(next) {
      limits = next;
      letIn();
      tell();
    },
    callOff(error) {
      for (const one of [...waiting]) one.sendAway(error);
    },
    get live() {
      return live;
    },
    get queued() {
      return waiting.size;
    },
  };
}
