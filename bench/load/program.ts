/**
 * Both ends of the channel between the bench and a load generator in a process of its own. The bench says when the window
 * of a measurement begins and ends, because it reads the kernel's CPU accounts at these moments.
 */

export type ToLoad<Options> =
  | { readonly type: "start"; readonly options: Options }
  | { readonly type: "begin" }
  | { readonly type: "end" };

export type FromLoad<Result> =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "started" }
  | { readonly type: "begun" }
  | { readonly type: "result"; readonly result: Result; readonly seconds: number }
  | { readonly type: "idle" }
  | { readonly type: "failed"; readonly problem: string };

/** One run of a load generator. */
export interface Activity<Result> {
  /** The window begins: what was counted so far was to warm up. */
  begin(): void;
  /** The window has ended. */
  result(): Result;
  /** Resolves when every connection is closed. */
  stop(): Promise<void>;
}

export function report(message: FromLoad<unknown>): void {
  process.send?.(message);
}

/** Runs in the load process. `start` resolves when the load is flowing. The process ends with the channel. */
export function runLoad<Options, Result>(
  start: (options: Options) => Promise<Activity<Result>> | Activity<Result>,
): void {
  let activity: Activity<Result> | undefined;
  let begunAt = 0;
  process.on("disconnect", () => process.exit());
  process.on("message", (message: ToLoad<Options>) => {
    switchOn(message).catch((error: Error) => report({ type: "failed", problem: error.stack ?? error.message }));
  });

  async function switchOn(message: ToLoad<Options>): Promise<void> {
    switch (message.type) {
      case "start":
        activity = await start(message.options);
        return report({ type: "started" });
      case "begin":
        activity?.begin();
        begunAt = performance.now();
        return report({ type: "begun" });
      case "end": {
        const seconds = (performance.now() - begunAt) / 1000;
        report({ type: "result", result: activity?.result(), seconds });
        await activity?.stop();
        return report({ type: "idle" });
      }
    }
  }
}
