import { lstatSync, mkdirSync } from "node:fs";
import { messageOf, ProxyError } from "../base/errors.js";

/**
 * Makes the directory where it is missing. Throws `settings_invalid` where it is not this user's alone: whoever could open
 * a socket there could take all listening sockets.
 */
export function openStateDirectory(path: string): void {
  const problem = problemOf(path);
  if (problem !== undefined) throw new ProxyError("settings_invalid", `state.directory ${path}: ${problem}`);
}

function problemOf(path: string): string | undefined {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const found = lstatSync(path);
    if (!found.isDirectory()) return "it is no directory";
    if (found.uid !== process.geteuid?.()) return `it belongs to user ${found.uid}, not to the one this runs as`;
    const mode = found.mode & 0o777;
    if ((mode & 0o077) !== 0) return `others may look into it (mode 0${mode.toString(8)}), expected 0700`;
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
