import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { FromLoad, ToLoad } from "./load/program.js";

/** How long a load generator may take for any one step. */
const patienceMs = 60_000;

/** A load generator, or a backend, in a process of its own, so that its CPU is accounted apart. */
export interface LoadProcess<Options, Result> {
  readonly pid: number;
  /** Resolves when the load flows. */
  start(options: Options): Promise<void>;
  begin(): Promise<void>;
  /** Resolves when its connections are closed too. */
  end(): Promise<{ readonly result: Result; readonly seconds: number; readonly idle: Promise<void> }>;
  /** For backends: resolves with the port. */
  listening(): Promise<number>;
  close(): Promise<void>;
}

/** `program` is the name of a file in bench/load. */
export function forkLoad<Options, Result>(program: string, args: readonly string[] = []): LoadProcess<Options, Result> {
  const child: ChildProcess = fork(fileURLToPath(new URL(`./load/${program}.js`, import.meta.url)), args, {
    execArgv: ["--max-semi-space-size=32"],
  });
  const arrived: FromLoad<Result>[] = [];
  let look: (() => void) | undefined;
  let exited = false;
  child.on("message", (message: FromLoad<Result>) => {
    arrived.push(message);
    look?.();
  });
  const gone = new Promise<void>((resolve) =>
    child.once("exit", () => {
      exited = true;
      look?.();
      resolve();
    }),
  );
  const send = (message: ToLoad<Options>) => void child.send(message);

  /** Messages come in the order of the steps, so the next one must be this. */
  function expect<T extends FromLoad<Result>["type"]>(type: T): Promise<Extract<FromLoad<Result>, { type: T }>> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => fail(`nothing within ${patienceMs / 1000} s`), patienceMs);
      function settle(): void {
        clearTimeout(timer);
        look = undefined;
      }
      function fail(problem: string): void {
        settle();
        reject(new Error(`load generator ${program}, waiting for "${type}": ${problem}`));
      }
      look = () => {
        const message = arrived.shift();
        if (message === undefined) return exited ? fail("it has ended") : undefined;
        if (message.type === "failed") return fail(message.problem);
        if (message.type !== type) return fail(`"${message.type}" came`);
        settle();
        resolve(message as Extract<FromLoad<Result>, { type: T }>);
      };
      look();
    });
  }

  return {
    pid: child.pid!,
    async start(options) {
      send({ type: "start", options });
      await expect("started");
    },
    async begin() {
      send({ type: "begin" });
      await expect("begun");
    },
    async end() {
      send({ type: "end" });
      const { result, seconds } = await expect("result");
      return { result, seconds, idle: expect("idle").then(() => undefined) };
    },
    listening: async () => (await expect("listening")).port,
    async close() {
      if (child.connected) child.disconnect();
      await gone;
    },
  };
}
