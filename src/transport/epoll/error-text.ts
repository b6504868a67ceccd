import { getSystemErrorMap } from "node:util";

/** `connect: ECONNREFUSED, connection refused`, for a negated error number. */
export function errorText(call: string, error: number): string {
  const [name, means] = getSystemErrorMap().get(error) ?? [`errno ${-error}`, "unknown"];
  return `${call}: ${name}, ${means}`;
}
