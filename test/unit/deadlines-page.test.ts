import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import test from "ava";

// dist/test/unit/deadlines-page.test.js -> the repository
const root = fileURLToPath(new URL("../../../", import.meta.url));
const page = readFileSync(`${root}docs/deadlines.md`, "utf8");

/** Durations that nobody waits for: bounds of timers, ages of certificates. */
const noWaits = new Set(["dayMs", "backdatedMs", "longestTimerMs", "maxTimerMs", "longestWaitMs", "timerGrainMs"]);

test("every constant that is a time stands on the page of deadlines, with its file", (t) => {
  const missing: string[] = [];
  let seen = 0;
  for (const file of readdirSync(`${root}src`, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts") || file.startsWith("mesh/generated")) continue;
    const source = readFileSync(`${root}src/${file}`, "utf8");
    for (const [, name] of source.matchAll(/^(?:export )?const (\w+(?:Ms|Seconds)) = /gm)) {
      if (noWaits.has(name!)) continue;
      seen++;
      const folder = file.slice(0, file.indexOf("/"));
      const row = page.split("\n").find((line) => line.includes(`\`${name}\``) && line.includes(file));
      const grouped = page
        .split("\n")
        .find((line) => line.includes(`\`${name}\``) && line.includes(`in \`${folder}\``));
      if (row === undefined && grouped === undefined) missing.push(`${file} ${name}`);
    }
  }
  t.true(seen > 40, `${seen} were seen`);
  t.deepEqual(missing, []);
});

test("every setting that is a time stands there", (t) => {
  const settings = readFileSync(`${root}docs/settings.md`, "utf8");
  const times = new Set([...settings.matchAll(/^\| `([\w.[\]]+Ms)` /gm)].map(([, key]) => key!));
  t.true(times.size > 15, String([...times]));
  t.deepEqual(
    [...times].filter((key) => !page.includes(`\`${key}\``)),
    [],
  );
});
