import { existsSync, readFileSync } from "node:fs";

/** What servers of checked connections have written about what was wrong; each complaint once. */
export function wrongLines(file: string): string[] {
  if (!existsSync(file)) return [];
  return [...new Set(readFileSync(file, "utf8").trim().split("\n"))].map((line) => `corrupted: ${line}`);
}
