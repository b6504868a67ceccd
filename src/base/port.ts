/**
 * One end of the channel between control plane and data plane. Messages are plain data that survive a structured clone,
 * so the two planes may live on one thread or on two; neither knows.
 */
export interface Port<In, Out> {
  post(message: Out): void;
  /** The one receiver. Messages that came before it was set are kept. */
  receive(handler: (message: In) => void): void;
  close(): void;
}

/**
 * Two joined ports on one thread. Delivery is never inside `post`, always in order. With `clone`, every message goes
 * through a structured clone, as it would between threads: tests use it to show that nothing else is passed.
 */
export function inThreadPorts<A, B>(options: { clone?: boolean } = {}): [Port<A, B>, Port<B, A>] {
  const toSecond = queue<B>(options.clone === true);
  const toFirst = queue<A>(options.clone === true);
  return [
    { post: toSecond.push, receive: toFirst.drainTo, close: toFirst.close },
    { post: toFirst.push, receive: toSecond.drainTo, close: toSecond.close },
  ];
}

function queue<T>(clone: boolean) {
  let waiting: T[] = [];
  let handler: ((message: T) => void) | undefined;
  let scheduled = false;
  let open = true;

  function schedule(): void {
    if (scheduled || handler === undefined || waiting.length === 0) return;
    scheduled = true;
    queueMicrotask(deliver);
  }

  function deliver(): void {
    scheduled = false;
    const batch = waiting;
    waiting = [];
    for (const message of batch) if (open) handler?.(message);
  }

  return {
    push(message: T): void {
      if (!open) return;
      waiting.push(clone ? structuredClone(message) : message);
      schedule();
    },
    drainTo(receiver: (message: T) => void): void {
      handler = receiver;
      schedule();
    },
    close(): void {
      open = false;
      waiting = [];
    },
  };
}
