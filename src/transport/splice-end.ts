import type { Splice, SpliceResult } from "./endpoint.js";

/** How a splice tells of its end: the same in both engines, and without a promise where nobody asks for one. */
export abstract class EndingSplice implements Splice {
  #result: SpliceResult | undefined;
  #tell: ((result: SpliceResult) => void) | undefined;
  #done: Promise<SpliceResult> | undefined;

  abstract cut(): void;

  whenDone(tell: (result: SpliceResult) => void): void {
    if (this.#result !== undefined) tell(this.#result);
    else this.#tell = tell;
  }

  get done(): Promise<SpliceResult> {
    this.#done ??= new Promise((resolve) => {
      const before = this.#tell;
      this.whenDone((result) => {
        before?.(result);
        resolve(result);
      });
    });
    return this.#done;
  }

  /** Both endpoints are closed. */
  protected ended(result: SpliceResult): void {
    this.#result = result;
    this.#tell?.(result);
    this.#tell = undefined;
  }
}
