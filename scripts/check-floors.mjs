// Runs dependency-cruiser over src/ and fails where an import points upwards, and where the checker saw next to nothing:
// a checker that resolves no modules reports no violation either.
import { cruise } from "dependency-cruiser";
import extractDepcruiseConfig from "dependency-cruiser/config-utl/extract-depcruise-config";
import extractTSConfig from "dependency-cruiser/config-utl/extract-ts-config";

const { options, ...ruleSet } = await extractDepcruiseConfig("./.dependency-cruiser.cjs");
const { output } = await cruise(["src"], { ...options, ruleSet, validate: true }, undefined, {
  tsConfig: extractTSConfig("./tsconfig.json"),
});
const { totalCruised, totalDependenciesCruised, violations } = output.summary;
for (const { rule, from, to } of violations) console.error(`${rule.name}: ${from} -> ${to}`);
if (totalCruised < 40 || totalDependenciesCruised < 100) {
  console.error(`the checker saw only ${totalCruised} modules and ${totalDependenciesCruised} imports`);
  process.exitCode = 1;
} else if (violations.length > 0) {
  process.exitCode = 1;
} else {
  console.log(`floors hold: ${totalCruised} modules, ${totalDependenciesCruised} imports`);
}
