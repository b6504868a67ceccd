import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";

/** A file to be written whole. */
export interface NewFile {
  readonly path: string;
  readonly contents: string;
  readonly mode: number;
}

/**
 * Writes files none of which may be there yet (O_EXCL). Resolves with undefined, or with the path that was there
 * already; then, and when it throws the system's error, no file of ours is left.
 */
export async function writeNew(files: readonly NewFile[]): Promise<string | undefined> {
  const written: string[] = [];
  try {
    for (const file of files) {
      await writeFile(file, () => written.push(file.path));
    }
    return undefined;
  } catch (error) {
    await Promise.all(written.map((path) => rm(path, { force: true })));
    if (!isSystemError(error, "EEXIST")) throw error;
    return files[written.length]?.path;
  }
}

/**
 * Writes files that replace what is there: each is written whole under another name in the same directory, then all are
 * renamed, in their order. Throws the system's error; then no file but those renamed already has changed.
 */
export async function replace(directory: string, files: readonly NewFile[]): Promise<void> {
  const unlike = randomBytes(6).toString("hex");
  const staged = files.map((file, index) => ({ ...file, path: join(directory, `.new-${unlike}-${index}`) }));
  const existing = await writeNew(staged);
  if (existing !== undefined) throw new Error(`${existing} is there already`);
  try {
    for (const [index, file] of files.entries()) await rename(staged[index]!.path, file.path);
  } catch (error) {
    await Promise.all(staged.map(({ path }) => rm(path, { force: true })));
    throw error;
  }
}

/** Calls `opened` once the file is there and ours. Its bytes are on the disk when the promise resolves. */
async function writeFile(file: NewFile, opened: () => void): Promise<void> {
  const handle = await open(file.path, "wx", file.mode);
  try {
    opened();
    await handle.writeFile(file.contents);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
