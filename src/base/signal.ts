/** A promise and the way to resolve it; resolving again does nothing. */
export interface Signal {
  readonly settled: Promise<void>;
  settle(): void;
}

export function signal(): Signal {
  let settle!: () => void;
  const settled = new Promise<void>((resolve) => {
    settle = resolve;
  });
  return { settled, settle: () => settle() };
}
