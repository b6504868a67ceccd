// Prints the targets of a Makefile that carry a help text.
import { readFileSync } from "node:fs";

for (const line of readFileSync(process.argv[2], "utf8").split("\n")) {
  const match = /^([a-z][a-z-]*):.*?## (.+)$/.exec(line);
  if (match) console.log(`  make ${match[1].padEnd(12)} ${match[2]}`);
}
