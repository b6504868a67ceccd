import { getSystemErrorMap } from "node:util";

/** `ECONNREFUSED`, for a negated error number. */
export function errorName(error: number): string | undefined {
  return getSystemErrorMap().get(error)?.[0];
}

/** `connect: ECONNREFUSED, connection refused`, for a negated error number. */
export function errorText(call: string, error: number): string {
  const [name, means] = getSystemErrorMap().get(error) ?? [`errno ${-error}`, "unknown"];
  return `${call}: ${name}, ${means}`;
}
