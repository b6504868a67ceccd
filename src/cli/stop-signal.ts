import { exitDone } from "./exit.js";

/** Resolves when SIGTERM or SIGINT comes. From then on a second one ends the process at once. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const obey = () => {
      if (asked) process.exit(exitDone);
      asked = true;
      resolve();
    };
    process.on("SIGTERM", obey);
    process.on("SIGINT", obey);
  });
}
