import type { CommandResult } from "./answer.js";

/** What `POST /drain` answers: it has begun, and how long it may take. */
export interface DrainStarted {
  readonly draining: true;
  /** Connections. */
  readonly live: number;
  readonly graceMs: number;
}

type Command = () => Promise<CommandResult>;

/** The commands of either role, by path; only those that somebody is there to obey. */
export function commandsOf(
  { reload, drain }: { readonly reload?: Command | undefined; readonly drain?: (() => void) | undefined },
  ahead: () => Omit<DrainStarted, "draining">,
): Record<string, Command> {
  const commands: Record<string, Command> = {};
  if (reload !== undefined) commands["/reload"] = reload;
  if (drain !== undefined) {
    commands["/drain"] = async () => {
      const body: DrainStarted = { draining: true, ...ahead() };
      // The answer first: where nothing is live the endpoint is closed a moment later.
      setImmediate(drain);
      return { status: "done", body };
    };
  }
  return commands;
}
