/** How one of several that can take a client is chosen. */
export type BalanceMethod = "least-connections" | "round-robin" | "random-two" | "source-ip";

export const balanceMethods = [
  "least-connections",
  "round-robin",
  "random-two",
  "source-ip",
] as const satisfies readonly BalanceMethod[];
