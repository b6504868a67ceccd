/** Writes docs/settings.md from the schema; with --check it only says whether the file is up to date, by its exit status. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { settingsReference } from "../src/settings/reference.js";

const file = fileURLToPath(new URL("../../docs/settings.md", import.meta.url));
const reference = settingsReference();

if (!process.argv.includes("--check")) {
  writeFileSync(file, reference);
} else if (currentReference() !== reference) {
  process.stderr.write("docs/settings.md is not what the schema says: run `node dist/scripts/settings-reference.js`\n");
  process.exitCode = 1;
}

function currentReference(): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
