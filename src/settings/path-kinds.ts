import { accessSync, constants, statSync } from "node:fs";
import { resolve } from "node:path";
import { maxUnixPathBytes } from "../base/address.js";
import { type Kind, textKind } from "./kinds.js";

/** A path, made absolute from the directory of the file it stands in. The file need not exist. */
export const path: Kind<string> = textKind("a path", (text, place) => {
  if (text === "") return { problem: "the path is empty" };
  if (text.includes("\0")) return { problem: "a path holds no zero byte" };
  return { value: resolve(place.directory, text) };
});

/** A file that must be there and be readable, unless the caller of the load has no use for it. */
export const readableFile: Kind<string> = textKind("the path of a readable file", (text, place, reading) => {
  if (text === "" || text.includes("\0")) return { problem: "expected the path of a readable file" };
  const value = resolve(place.directory, text);
  const problem = reading.checkFiles ? fileProblem(value) : undefined;
  return problem === undefined ? { value } : { problem: `${problem}, expected a readable file at ${value}` };
});

/** The path of a unix socket. The file appears when the proxy listens. */
export const socketPath: Kind<string> = textKind("the path of a unix socket", (text, place) => {
  if (text === "" || text.includes("\0")) return { problem: "expected the path of a unix socket" };
  if (text.startsWith("unix:")) return { problem: "expected a path, without unix: before it" };
  const value = resolve(place.directory, text);
  const bytes = Buffer.byteLength(value);
  if (bytes <= maxUnixPathBytes) return { value };
  return {
    problem: `the path ${value} has ${bytes} bytes, at most ${maxUnixPathBytes} are possible for a unix socket`,
  };
});

/** The longest name of a socket that is made in the state directory. */
const longestSocketName = "/take-over.sock";

/** A directory with room for the names of sockets in it. */
export const stateDirectory: Kind<string> = textKind("the path of a directory", (text, place) => {
  if (text === "" || text.includes("\0")) return { problem: "expected the path of a directory" };
  const value = resolve(place.directory, text);
  const most = maxUnixPathBytes - longestSocketName.length;
  const bytes = Buffer.byteLength(value);
  if (bytes <= most) return { value };
  return { problem: `the path ${value} has ${bytes} bytes, at most ${most} leave room for a unix socket in it` };
});

/** What keeps a file from being read; undefined where nothing does. */
export function fileProblem(file: string): string | undefined {
  try {
    if (!statSync(file).isFile()) return "this is not a file";
    accessSync(file, constants.R_OK);
    return undefined;
  } catch (error) {
    return systemProblem(error);
  }
}

/** What a failed system call on a file says to whoever wrote the settings. */
export function systemProblem(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" || code === "ENOTDIR") return "there is no such file";
  if (code === "EACCES" || code === "EPERM") return "this process may not read it";
  return `it cannot be read (${code ?? message})`;
}
