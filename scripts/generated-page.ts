import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Writes a page of docs/ that is made from the code; with --check among the arguments it only says whether the page is up
 * to date, by the exit status.
 */
export function writeOrCheck(page: string, contents: string): void {
  const file = fileURLToPath(new URL(`../../docs/${page}`, import.meta.url));
  if (!process.argv.includes("--check")) {
    writeFileSync(file, contents);
  } else if (currentContents(file) !== contents) {
    const command = `node dist/scripts/${basename(process.argv[1] ?? "")}`;
    process.stderr.write(`docs/${page} is not what the code says: run \`${command}\`\n`);
    process.exitCode = 1;
  }
}

function currentContents(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
