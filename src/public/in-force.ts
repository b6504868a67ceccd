/** What waits until the data planes have taken in what they were told. */
export interface InForce {
  /**
   * Calls `tell` when every data plane has taken in all that was posted before, and everything that was given here earlier
   * has been told; at once where nothing has to be waited for. After a second it is told in any case.
   */
  tellAfter(posted: boolean, tell: () => void): void;
  /** The data planes have come as far as this. */
  reached(mark: number): void;
  close(): void;
}

/** No data plane takes so long; but a control plane waits for none of them for ever. */
const patienceMs = 1000;

/**
 * A name that is said to be accepted must be served to a client that comes in that very moment, also where the data planes
 * are other threads. `post` sends them a mark, which they send back.
 */
export function createInForce(post: (mark: number) => void): InForce {
  const waiting: { readonly mark: number; readonly tell: () => void }[] = [];
  let marks = 0;
  /** What is told in one loop round shares a mark: a thousand announcements come in a few rounds. */
  let marking: NodeJS.Immediate | undefined;
  let impatience: NodeJS.Timeout | undefined;

  /** In order: what was said of a name later must not be overtaken. */
  function reached(mark: number): void {
    while (waiting.length > 0 && waiting[0]!.mark <= mark) waiting.shift()!.tell();
    clearTimeout(impatience);
    impatience = waiting.length === 0 ? undefined : setTimeout(() => reached(marks), patienceMs);
  }

  return {
    tellAfter(posted, tell) {
      if (!posted && waiting.length === 0) return tell();
      if (posted && marking === undefined) {
        marks++;
        marking = setImmediate(() => {
          marking = undefined;
          post(marks);
        });
      }
      waiting.push({ mark: marks, tell });
      impatience ??= setTimeout(() => reached(marks), patienceMs);
    },
    reached,
    close() {
      clearImmediate(marking);
      clearTimeout(impatience);
      waiting.length = 0;
    },
  };
}
