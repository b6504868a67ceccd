/** One side's view of an Attach stream, with domain messages on it. */
export interface MeshLink<Out> {
  /** `ip:port` of the peer. */
  readonly peer: string;
  /** Queues a message. After the link has closed it is dropped. */
  send(message: Out): void;
  /** Messages queued and not yet given to the network. */
  readonly backlog: number;
  /** Ends the stream in order: what is queued is still sent. */
  end(): void;
  /**
   * Ends it at once. `why` is what the peer did wrong, and what it is told where it can still be told; `duplicate`: its
   * process has another session here, and need not come again for one.
   */
  destroy(why?: string, how?: "duplicate"): void;
}

/** The private proxy's side can ask for a sign of life. */
export interface DialledLink<Out> extends MeshLink<Out> {
  /** Asks the peer at once whether it is there, and ends the link where no answer comes in time. */
  check(timeoutMs: number): void;
}

/** What the owner of a link is told. `closed` comes exactly once, and nothing after it. */
export interface MeshLinkEvents<In> {
  received(message: In): void;
  /** `duplicate`: the peer has another session of this process, and refuses a second one. */
  closed(why: string, how?: "duplicate"): void;
}
