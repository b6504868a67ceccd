import { ProxyError } from "../base/errors.js";
import type { Alarm } from "../transport/transport.js";
import type { TargetCap, TargetFacts } from "./messages.js";
import type { QueueLoad } from "./queue-board.js";
import { createTargetQueue, type Place, type TargetQueue } from "./target-queue.js";

/** The queues of the targets that this data plane owns. One at whose target nobody is, is not kept. */
export interface TargetQueues {
  /** Undefined where there is no cap. Throws `target_queue_full`. */
  enter(target: Pick<TargetFacts, "cap">): Place | undefined;
  /**
   * Takes over what is stated of caps now. Where a cap was lifted all are let in; who waits for a target that is gone is sent
   * away with `name_not_served`.
   */
  follow(targets: readonly Pick<TargetFacts, "cap">[]): void;
}

export interface TargetQueuesOptions {
  readonly now: () => number;
  readonly alarm: Alarm;
  readonly note: (queueId: number, load: QueueLoad) => void;
}

export function createTargetQueues({ now, alarm, note }: TargetQueuesOptions): TargetQueues {
  const queues = new Map<number, TargetQueue>();

  function open({ queueId, ...limits }: TargetCap): TargetQueue {
    const queue = createTargetQueue({
      limits,
      now,
      alarm,
      changed(live, queued) {
        note(queueId, { live, queued });
        if (live === 0) queues.delete(queueId);
      },
    });
    queues.set(queueId, queue);
    return queue;
  }

  return {
    enter({ cap }) {
      if (cap === undefined || cap.maxConnections === Number.POSITIVE_INFINITY) return undefined;
      return (queues.get(cap.queueId) ?? open(cap)).enter();
    },
    follow(targets) {
      const caps = new Map<number, TargetCap>();
      // What is in force comes before what is about to go.
      for (const { cap } of targets) if (cap !== undefined && !caps.has(cap.queueId)) caps.set(cap.queueId, cap);
      for (const [queueId, queue] of [...queues]) {
        const cap = caps.get(queueId);
        if (cap !== undefined) queue.configure(cap);
        else queue.callOff(new ProxyError("name_not_served", "the target has been taken out of the settings"));
      }
    },
  };
}
