import { ProxyError } from "../../base/errors.js";
import { eIntr, epollAdd, epollDelete, epollEventLayout, sockCloexec } from "./abi.js";
import { type Alarm, Alarms } from "./alarms.js";
import type { Libc } from "./libc.js";
import type { Ownership } from "./ownership.js";

/** Events taken in one wait: few, so that what they cause is sent on while the next are being dealt with. */
const maxEvents = 32;
/** One read of the shared buffer. Large enough for most messages, small enough to stay in the processor's cache. */
const scratchBytes = 64 * 1024;

/** Whom the loop tells of a descriptor. */
export interface Watched {
  /** Epoll's event bits. An edge comes once: what is not done now must be remembered. */
  onEvents(events: number): void;
  /** `onEvents` or a turn threw, or the loop stops: give everything up, at once. */
  failed(): void;
}

/** Work that was left for the next round, so that one busy connection does not keep the others waiting. */
export interface Turn {
  takeTurn(): void;
  failed(): void;
}

export interface EventLoopOptions {
  readonly libc: Libc;
  readonly ownership: Ownership;
  /** The longest wait, in milliseconds: for as long the rest of the thread stands still. */
  readonly maxBlockMs: number;
  /** A fault of this program, in the handling of one connection, which is gone by now. */
  readonly fault: (error: unknown) => void;
}

/**
 * A cooperative loop over epoll: each round waits, tells, and lets the thread's other work (promises, messages) run before
 * the next. It runs while there is something to wait for. Not re-entrant; everything happens on the thread that made it.
 */
export class EventLoop {
  readonly libc: Libc;
  /** What was just received. Good until the next call that receives. */
  readonly scratch: Uint8Array = new Uint8Array(scratchBytes);
  /** The monotonic clock, in milliseconds, read once a round. */
  now: number = performance.now();
  readonly #ownership: Ownership;
  readonly #options: EventLoopOptions;
  readonly #alarms = new Alarms();
  readonly #layout = epollEventLayout(process.arch);
  readonly #events: Int32Array;
  readonly #event: Int32Array;
  readonly #hooks: (() => void)[] = [];
  readonly #restHooks: (() => void)[] = [];
  /** By descriptor. The generation tells an event of this connection from one of the last that had the same number. */
  readonly #watched: (Watched | undefined)[] = [];
  readonly #generations: number[] = [];
  #watching = 0;
  #epoll = -1;
  #turns: Turn[] = [];
  #scheduled = false;
  #stopped = false;

  constructor(options: EventLoopOptions) {
    this.#options = options;
    this.libc = options.libc;
    this.#ownership = options.ownership;
    this.#events = new Int32Array((maxEvents * this.#layout.bytes) / Int32Array.BYTES_PER_ELEMENT);
    this.#event = new Int32Array(this.#layout.bytes / Int32Array.BYTES_PER_ELEMENT);
  }

  /** Calls `ring` once, when the clock has reached `at`. */
  alarm(at: number, ring: () => void): Alarm {
    this.#schedule();
    return this.#alarms.set(at, ring);
  }

  cancel(alarm: Alarm): void {
    this.#alarms.cancel(alarm);
  }

  /** A turn in the next round, which will not wait. */
  later(turn: Turn): void {
    this.#turns.push(turn);
    this.#schedule();
  }

  /** Runs before every wait. */
  beforeWait(hook: () => void): void {
    this.#hooks.push(hook);
  }

  /** Runs when there is nothing left to wait for. */
  whenAtRest(hook: () => void): void {
    this.#restHooks.push(hook);
  }

  /** Makes the descriptor this thread's. False where it cannot be: it has been closed. */
  own(descriptor: number): boolean {
    if (!this.#stopped && this.#ownership.take(descriptor)) return true;
    this.libc.close(descriptor);
    return false;
  }

  /** Throws `descriptors_exhausted` where the system has no room for another watch. The descriptor stays the caller's. */
  watch(descriptor: number, watched: Watched, events: number): void {
    if (this.#epoll < 0) this.#open();
    const generation = ((this.#generations[descriptor] ?? 0) + 1) >>> 0;
    this.#generations[descriptor] = generation;
    this.#add(descriptor, events);
    this.#watched[descriptor] = watched;
    this.#watching++;
    this.#schedule();
  }

  /** Tells nothing more of the descriptor, which stays open and the caller's. */
  unwatch(descriptor: number): void {
    if (this.#forget(descriptor)) this.libc.epollControl(this.#epoll, epollDelete, descriptor, this.#eventBytes);
  }

  /** Closes a descriptor of this thread. An event that is on its way for it reaches nobody. */
  close(descriptor: number): void {
    this.#forget(descriptor);
    this.#ownership.drop(descriptor);
    this.libc.close(descriptor);
  }

  /** The descriptor is another thread's from here on, which is to be told. It must not be watched any more. */
  give(descriptor: number, to: number): void {
    this.#ownership.give(descriptor, to);
  }

  owns(descriptor: number): boolean {
    return this.#ownership.owns(descriptor);
  }

  /** Closes whatever this thread owns, and runs no more. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    // Whoever holds one must know that it is gone: in a moment its number may be somebody else's connection.
    for (const watched of this.#watched) {
      if (watched !== undefined) this.#giveUp(watched);
    }
    this.#alarms.clear();
    this.#turns = [];
    for (const descriptor of this.#ownership.all()) this.close(descriptor);
    this.#rest();
  }

  get #eventBytes(): Uint8Array {
    return this.#event as unknown as Uint8Array;
  }

  #open(): void {
    const epoll = this.libc.epollCreate(sockCloexec);
    if (epoll < 0 || !this.own(epoll)) throw new ProxyError("descriptors_exhausted", `epoll_create1: errno ${-epoll}`);
    this.#epoll = epoll;
  }

  #add(descriptor: number, events: number): void {
    const word = this.#layout.data / 4;
    this.#event[0] = events;
    this.#event[word] = descriptor;
    this.#event[word + 1] = this.#generations[descriptor]!;
    const result = this.libc.epollControl(this.#epoll, epollAdd, descriptor, this.#eventBytes);
    if (result < 0) throw new ProxyError("descriptors_exhausted", `epoll_ctl: errno ${-result}`);
  }

  #forget(descriptor: number): boolean {
    if (this.#watched[descriptor] === undefined) return false;
    this.#watched[descriptor] = undefined;
    this.#watching--;
    return true;
  }

  get #active(): boolean {
    return !this.#stopped && (this.#watching > 0 || this.#turns.length > 0 || this.#alarms.size > 0);
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(this.#round);
  }

  readonly #round = (): void => {
    this.#scheduled = false;
    for (const hook of this.#hooks) hook();
    if (this.#active) {
      const count = this.#wait();
      this.now = performance.now();
      this.#tell(count);
      this.#takeTurns();
      this.#ringAlarms();
    }
    if (this.#active) this.#schedule();
    else if (!this.#scheduled) this.#rest();
  };

  #wait(): number {
    if (this.#epoll < 0) this.#open();
    const leftMs = this.#turns.length > 0 ? 0 : this.#alarms.next() - performance.now();
    const timeoutMs = Math.max(0, Math.min(this.#options.maxBlockMs, Math.ceil(leftMs)));
    const events = this.#events as unknown as Uint8Array;
    const count = this.libc.epollWait(this.#epoll, events, maxEvents, timeoutMs);
    if (count < 0 && count !== eIntr) throw new ProxyError("internal", `epoll_wait: errno ${-count}`);
    return Math.max(0, count);
  }

  #tell(count: number): void {
    const words = this.#layout.bytes / 4;
    const data = this.#layout.data / 4;
    for (let index = 0; index < count; index++) {
      const at = index * words;
      const descriptor = this.#events[at + data]!;
      const watched = this.#watched[descriptor];
      const generation = this.#events[at + data + 1]! >>> 0;
      if (watched === undefined || this.#generations[descriptor] !== generation) continue;
      try {
        watched.onEvents(this.#events[at]!);
      } catch (error) {
        this.#fault(watched, error);
      }
    }
  }

  #takeTurns(): void {
    if (this.#turns.length === 0) return;
    const turns = this.#turns;
    this.#turns = [];
    for (const turn of turns) {
      try {
        turn.takeTurn();
      } catch (error) {
        this.#fault(turn, error);
      }
    }
  }

  #ringAlarms(): void {
    for (let ring = this.#alarms.due(this.now); ring !== undefined; ring = this.#alarms.due(this.now)) {
      try {
        ring();
      } catch (error) {
        this.#options.fault(error);
      }
    }
  }

  #fault(whose: Watched | Turn, error: unknown): void {
    this.#giveUp(whose);
    this.#options.fault(error);
  }

  #giveUp(whose: Watched | Turn): void {
    try {
      whose.failed();
    } catch (error) {
      this.#options.fault(error);
    }
  }

  /** Without anything to wait for it holds no descriptor, and keeps no thread alive. */
  #rest(): void {
    for (const hook of this.#restHooks) hook();
    if (this.#epoll < 0) return;
    if (this.#ownership.owns(this.#epoll)) this.close(this.#epoll);
    this.#epoll = -1;
  }
}
