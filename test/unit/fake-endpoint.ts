import type { Endpoint, Hangup, Splice, SpliceResult } from "../../src/transport/endpoint.js";

/** An endpoint without a socket: it notes what is done to it, and leaves when the test says so. */
export interface FakeEndpoint extends Endpoint {
  /** `end`, `destroy`, `reset`, in order. */
  readonly done: readonly string[];
  /** The bytes given to `end`. */
  readonly last: Uint8Array | undefined;
  leave(how: Hangup): void;
}

export function fakeEndpoint(): FakeEndpoint {
  const done: string[] = [];
  let last: Uint8Array | undefined;
  let leave!: (how: Hangup) => void;
  const hangup = new Promise<Hangup>((resolve) => {
    leave = resolve;
  });
  const gone = (what: string) => {
    done.push(what);
    leave("destroyed");
  };
  return {
    remote: { family: "ipv4", address: "192.0.2.7", port: 50_000 },
    local: { family: "ipv4", address: "192.0.2.1", port: 443 },
    hangup,
    done,
    get last() {
      return last;
    },
    leave,
    read: () => new Promise(() => {}),
    unread() {},
    write() {},
    end(bytes) {
      last = bytes;
      gone("end");
    },
    destroy: () => gone("destroy"),
    reset: () => gone("reset"),
  };
}

/** A splice that ends when the test says so, or when it is cut. */
export function fakeSplice(): Splice & { end(result: Partial<SpliceResult>): void } {
  let end!: (result: SpliceResult) => void;
  const done = new Promise<SpliceResult>((resolve) => {
    end = resolve;
  });
  return {
    done,
    whenDone: (tell) => void done.then(tell),
    cut: () => end({ bytesAb: 0, bytesBa: 0, endedBy: "cut" }),
    end: (result) => end({ bytesAb: 0, bytesBa: 0, endedBy: "a_ended", ...result }),
  };
}
