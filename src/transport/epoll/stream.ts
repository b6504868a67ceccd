import {
  eAgain,
  ePipe,
  epollEdge,
  epollErr,
  epollHup,
  epollIn,
  epollOut,
  epollPri,
  epollRdhup,
  msgNosignal,
  shutWrite,
  soError,
  soLinger,
  solSocket,
} from "./abi.js";
import type { EventLoop, Watched } from "./loop.js";
import type { Owner } from "./ownership.js";
import { setNoDelay } from "./socket-options.js";

/** Who is told when something has changed about a stream. */
export interface StreamUser {
  onStream(stream: Stream): void;
  streamFailed(stream: Stream): void;
}

/** Until somebody takes the stream over, which is in the same breath. */
const unclaimed: StreamUser = { onStream() {}, streamFailed: (stream) => stream.close() };

const everything = epollIn | epollPri | epollOut | epollRdhup | epollEdge;
const word = new Int32Array(1);
const wordLength = new Uint32Array(1);
/** struct linger: on, 0 seconds. */
const resetOnClose = new Int32Array([1, 0]);

/**
 * A connected stream socket in the loop: what its edges have said is kept here, for an edge comes only once. It belongs to
 * one user at a time, who closes it.
 */
export class Stream implements Watched {
  readonly descriptor: number;
  readonly loop: EventLoop;
  user: StreamUser;
  /** There may be something to receive. */
  readable = true;
  /** There may be room to send. */
  writable = false;
  /** The peer's FIN has come; bytes before it may still wait to be received. */
  peerEnded = false;
  /**
   * The peer has sent urgent data at some time. Each read stops at its mark, with more behind it, and splice(2) does not
   * get past it at all.
   */
  urgent = false;
  /** Negated error number of what broke the connection, once. */
  error = 0;
  closed = false;
  /** What was accepted has TCP_NODELAY from its listener. What was made from here gets it when a second send shows a need. */
  #nodelay: "set" | "atSecondSend" | "atNextSend" = "set";
  /** Everything before the peer's FIN has been received. */
  #drained = false;
  readonly #tcp: boolean;
  #unsent: Uint8Array[] | undefined;
  #finWanted = false;

  /** Takes over a descriptor of this thread and watches it from here on. Throws `descriptors_exhausted`; then it is closed. */
  constructor(loop: EventLoop, descriptor: number, kind: "tcp" | "unix", user: StreamUser = unclaimed) {
    this.loop = loop;
    this.descriptor = descriptor;
    this.user = user;
    this.#tcp = kind === "tcp";
    try {
      loop.watch(descriptor, this, everything);
    } catch (error) {
      this.closed = true;
      loop.close(descriptor);
      throw error;
    }
  }

  onEvents(events: number): void {
    if (events & (epollIn | epollRdhup | epollHup | epollErr)) this.readable = true;
    if (events & (epollOut | epollHup | epollErr)) this.writable = true;
    if (events & epollPri) this.urgent = true;
    // A reset also says RDHUP and HUP. Only a FIN comes without ERR.
    if (events & epollErr) this.#learnError();
    else if (events & epollRdhup) this.peerEnded = true;
    this.user.onStream(this);
  }

  failed(): void {
    this.user.streamFailed(this);
  }

  /** Receives into the loop's buffer: the number of bytes, 0 at the end, or a negated error number. */
  receive(): number {
    if (this.#drained) return 0;
    const { loop } = this;
    const result = loop.libc.receive(this.descriptor, loop.scratch, loop.scratch.length, 0);
    if (result < loop.scratch.length && !(this.urgent && result > 0)) {
      // There is no more, and the next bytes bring an edge. But not the end, where it was told before.
      if (!(this.peerEnded && result > 0)) this.readable = false;
      // TCP gives all it has: after a FIN that was told before, that is all there ever will be.
      else if (this.#tcp) this.#drained = true;
    }
    if (result > 0 || result === eAgain) return result;
    if (this.peerEnded) return 0;
    // A send that failed has taken the reset out of the system, which from then on says that this is the end.
    return result === 0 ? this.error : result;
  }

  /** To be called for a TCP connection that was made from here, before anything is sent. */
  delaysSecondSend(): void {
    this.#nodelay = "atSecondSend";
  }

  /** Sends what the system takes: the number of bytes, or a negated error number. */
  send(bytes: Uint8Array, length: number): number {
    if (this.#nodelay !== "set") this.#hurry();
    const result = this.loop.libc.send(this.descriptor, bytes, length, msgNosignal);
    if (result === eAgain) this.writable = false;
    return result;
  }

  /**
   * The first send has nothing before it for whose acknowledgement it could be held back (RFC 9293 §3.7.4), and many a
   * server is sent a hello and nothing else. A pipe is not emptied into a stream before several sends.
   */
  #hurry(): void {
    if (this.#nodelay === "atNextSend") setNoDelay(this.loop.libc, this.descriptor);
    this.#nodelay = this.#nodelay === "atSecondSend" ? "atNextSend" : "set";
  }

  /** Sends, and keeps what the system does not take. What is kept must not be changed. Errors show as an event. */
  write(bytes: Uint8Array): void {
    if (this.closed || bytes.length === 0) return;
    if (this.#unsent !== undefined) {
      this.#unsent.push(bytes);
      return;
    }
    const sent = this.send(bytes, bytes.length);
    if (sent === bytes.length) return;
    if (sent < 0 && sent !== eAgain) {
      this.#learn(sent);
      return;
    }
    this.#unsent = [sent > 0 ? bytes.subarray(sent) : bytes];
    // A partial success does not say that the system is full; only EAGAIN does, and only after it comes an edge.
    this.writable = sent > 0;
    this.flush();
  }

  /** Sends what was kept. True when nothing is kept any more. */
  flush(): boolean {
    while (this.#unsent !== undefined && this.writable) {
      const bytes = this.#unsent[0]!;
      const sent = this.send(bytes, bytes.length);
      if (sent < 0 && sent !== eAgain) {
        this.#learn(sent);
        this.#unsent = undefined;
      } else if (sent === bytes.length) {
        this.#unsent.shift();
        if (this.#unsent.length === 0) this.#unsent = undefined;
      } else if (sent > 0) {
        this.#unsent[0] = bytes.subarray(sent);
      }
    }
    if (this.#unsent !== undefined) return false;
    if (this.#finWanted) this.shutdown();
    return true;
  }

  /** FIN, after what is still kept. */
  finish(): void {
    this.#finWanted = true;
    this.flush();
  }

  shutdown(): void {
    this.#finWanted = false;
    if (!this.closed) this.loop.libc.shutdown(this.descriptor, shutWrite);
  }

  /** What `write` has kept; it is the caller's from here on. */
  takeUnsent(): Uint8Array[] {
    const unsent = this.#unsent ?? [];
    this.#unsent = undefined;
    return unsent;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.readable = false;
    this.writable = false;
    this.#unsent = undefined;
    this.loop.close(this.descriptor);
  }

  /** Leaves the loop without being closed: the descriptor is another thread's from here on. */
  release(to: Owner): void {
    this.closed = true;
    this.loop.unwatch(this.descriptor);
    this.loop.give(this.descriptor, to);
  }

  /** Closes with a RST. A unix socket has none, and takes no notice. */
  reset(): void {
    if (this.closed) return;
    this.loop.libc.setOption(this.descriptor, solSocket, soLinger, resetOnClose as unknown as Uint8Array, 8);
    this.close();
  }

  /**
   * The system tells an error once, to whoever asks first. A reset after the FIN costs nothing that was sent before: where
   * the FIN was seen, it counts as EPIPE, which Linux says itself while this side has not yet sent its own FIN.
   */
  #learnError(): void {
    wordLength[0] = 4;
    const { libc } = this.loop;
    libc.getOption(
      this.descriptor,
      solSocket,
      soError,
      word as unknown as Uint8Array,
      wordLength as unknown as Uint8Array,
    );
    if (word[0] !== 0) this.#learn(-word[0]!);
  }

  #learn(error: number): void {
    if (this.peerEnded || error === ePipe) {
      this.peerEnded = true;
      this.error = ePipe;
    } else if (this.error === 0) this.error = error;
  }
}
