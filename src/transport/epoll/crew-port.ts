import { stackOf } from "../../base/errors.js";
import type { Log } from "../../base/log.js";
import type { Port } from "../../base/port.js";
import { type Crew, type CrewOptions, startCrew } from "./crew.js";

/** How long workers may take to close what they have, before they are ended by force. */
const closeMs = 3000;

/** What every data plane is asked, whatever its role, and what each of them answers. */
const answers = { drain: "drained", close: "closed", mark: "marked", quiesce: "quiet", deafen: "deaf" } as const;

interface Typed {
  readonly type: string;
  /** Tells one question of a kind from another. */
  readonly mark?: number;
}

/** `Told` is what a worker is told: what the control plane posts, and what a role's `deliver` makes of it. */
export interface CrewPortOptions<In extends Typed, Told extends Typed, Out extends Told = Told>
  extends Pick<CrewOptions<In, Told>, "entry" | "workers" | "maxPipes" | "listeners" | "role" | "replay"> {
  readonly log: Log;
  /** Sends a message to whom it is for. What every worker is asked goes to all of them, and does not come here. */
  deliver(message: Out, lines: CrewLines<In, Told>): void;
  /** As in `CrewOptions`, with the lines to tell what follows from it. */
  died(worker: number, lines: CrewLines<In, Told>): void;
  /** True for a message that is not for the control plane: it has been dealt with. */
  intercept?(message: In, lines: CrewLines<In, Told>, worker: number): boolean;
}

/** What a role's own distribution has to work with. */
export interface CrewLines<In, Told> extends Pick<Crew<Told>, "post" | "pass"> {
  postAll(message: Told): void;
  /** Tells the control plane something in the place of a worker. */
  answer(message: In): void;
}

/** Workers behind one port, so that a control plane need not know how many there are. */
export interface CrewPort<In, Out> {
  readonly port: Port<In, Out>;
  readonly status: Crew<Out>["status"];
  /** Ends the threads. Resolves in a few seconds at most. */
  stop(): Promise<void>;
}

/**
 * Starts the workers. What all of them are asked is answered when the last one has answered, or is gone; a worker that does
 * not close is ended by force. Throws what the first worker threw, with nothing left open.
 */
export async function startCrewPort<In extends Typed, Told extends Typed, Out extends Told = Told>(
  options: CrewPortOptions<In, Told, Out>,
): Promise<CrewPort<In, Out>> {
  const { log, workers } = options;
  let handler: ((message: In) => void) | undefined;
  const early: In[] = [];
  /** Who has not answered yet, by what was asked. */
  const unanswered = new Map<string, Set<number>>();
  let impatience: NodeJS.Timeout | undefined;
  let crew: Crew<Told> | undefined;

  const lines: CrewLines<In, Told> = {
    post: (worker, message) => crew?.post(worker, message),
    pass: (worker, passed, message) => crew?.pass(worker, passed, message) === true,
    postAll(message) {
      for (let worker = 0; worker < workers; worker++) crew?.post(worker, message);
    },
    answer: tell,
  };

  function tell(message: In): void {
    if (handler === undefined) early.push(message);
    else handler(message);
  }

  function ask(message: Out, answer: string): void {
    const there = Array.from({ length: workers }, (_, worker) => worker).filter((worker) => crew?.isThere(worker));
    lines.postAll(message);
    const expected = { ...message, type: answer } as unknown as In;
    if (there.length === 0) tell(expected);
    else unanswered.set(keyOf(expected), new Set(there));
  }

  /** False for what was not asked. The control plane hears it once, when the last one has answered. */
  function answered(key: string, worker: number, expected: In): boolean {
    const missing = unanswered.get(key);
    if (missing === undefined) return false;
    missing.delete(worker);
    if (missing.size > 0) return true;
    unanswered.delete(key);
    tell(expected);
    return true;
  }

  /** Whoever is gone counts as having answered everything. */
  function answeredAll(worker: number): void {
    for (const key of [...unanswered.keys()]) answered(key, worker, answerOf(key) as unknown as In);
  }

  const running = await startCrew<In, Told>({
    ...options,
    fault: (error) => log.error({ fault: stackOf(error) }, "a fault of this program"),
    received(worker, message) {
      if (answered(keyOf(message), worker, message)) return;
      if (options.intercept?.(message, lines, worker) !== true) tell(message);
    },
    died(worker) {
      options.died(worker, lines);
      answeredAll(worker);
    },
  });
  crew = running;

  async function endByForce(): Promise<void> {
    const missing = unanswered.get("closed");
    if (missing === undefined) return;
    log.warn({ workers: [...missing] }, "data-plane workers do not close: they are ended by force");
    await running.stop();
    for (const worker of [...missing]) answeredAll(worker);
  }

  return {
    status: running.status,
    async stop() {
      clearTimeout(impatience);
      await running.stop();
    },
    port: {
      post(message) {
        const answer = answers[message.type as keyof typeof answers];
        if (answer === undefined) return options.deliver(message, lines);
        if (answer !== "marked") running.retire();
        ask(message, answer);
        if (answer === "closed") impatience = setTimeout(() => void endByForce(), closeMs);
      },
      receive(receiver) {
        handler = receiver;
        for (const message of early.splice(0)) tell(message);
      },
      close() {},
    },
  };
}

function keyOf({ type, mark }: Typed): string {
  return mark === undefined ? type : `${type} ${mark}`;
}

function answerOf(key: string): Typed {
  const [type = "", mark] = key.split(" ");
  return mark === undefined ? { type } : { type, mark: Number(mark) };
}
