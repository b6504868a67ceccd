import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { Port } from "./port.js";

/** What both ends need. */
interface EndOptions {
  readonly channel: MessagePort;
  /** A handler threw. The other messages are handed out all the same. */
  readonly fault: (error: unknown) => void;
}

/** Hands out what came, one after the other; messages that come before there is a handler are kept. */
function handOut<In>(fault: (error: unknown) => void) {
  let handler: ((message: In) => void) | undefined;
  return {
    set handler(receiver: (message: In) => void) {
      handler = receiver;
    },
    batch(messages: readonly In[]): void {
      for (const message of messages) {
        try {
          handler?.(message);
        } catch (error) {
          fault(error);
        }
      }
    },
  };
}

/**
 * What is posted until `flush` travels as one message: a thread's message costs microseconds, however little is in it.
 * Values are cloned when they are flushed, not when they are posted: nothing that was posted may be changed.
 */
function gather<Out>(channel: MessagePort, begun: () => void) {
  let batch: Out[] = [];
  let open = true;
  return {
    post(message: Out): void {
      if (!open) return;
      batch.push(message);
      if (batch.length === 1) begun();
    },
    /** False where there was nothing to send. */
    flush(): boolean {
      if (batch.length === 0) return false;
      const full = batch;
      batch = [];
      channel.postMessage(full);
      return true;
    },
    close(): void {
      open = false;
      channel.close();
    },
  };
}

/** The main thread's end. */
export interface MainEnd<In, Out> extends Port<In, Out> {
  /** Hands out, at once, what has arrived and was not yet told: when the other thread has ended. */
  drain(): void;
}

/** A round of the loop is a batch. `wake` is called once for each: the other thread may be asleep in the kernel. */
export function mainEnd<In, Out>(options: EndOptions & { readonly wake: () => void }): MainEnd<In, Out> {
  const { channel, wake } = options;
  const received = handOut<In>(options.fault);
  const gathered = gather<Out>(channel, () => setImmediate(flush));

  function flush(): void {
    if (gathered.flush()) wake();
  }

  return {
    post: gathered.post,
    receive(handler) {
      received.handler = handler;
      channel.on("message", received.batch);
      // The thread keeps the process alive; what it has to say does not.
      channel.unref();
    },
    drain() {
      for (let got = receiveMessageOnPort(channel); got !== undefined; got = receiveMessageOnPort(channel)) {
        received.batch(got.message);
      }
    },
    close() {
      flush();
      gathered.close();
    },
  };
}

/** The worker's end. */
export interface WorkerEnd<In, Out> extends Port<In, Out> {
  /** To be called when the main thread has woken this one: its own event loop does not look while it waits in epoll. */
  drain(): void;
  /** To be called before every wait. */
  flush(): void;
}

export function workerEnd<In, Out>({ channel, fault }: EndOptions): WorkerEnd<In, Out> {
  const received = handOut<In>(fault);
  const gathered = gather<Out>(channel, () => {});
  let hasHandler = false;

  function drain(): void {
    if (!hasHandler) return;
    for (let got = receiveMessageOnPort(channel); got !== undefined; got = receiveMessageOnPort(channel)) {
      received.batch(got.message);
    }
  }

  return {
    post: gathered.post,
    receive(handler) {
      received.handler = handler;
      hasHandler = true;
      drain();
    },
    drain,
    flush: gathered.flush,
    close() {
      gathered.flush();
      gathered.close();
    },
  };
}
