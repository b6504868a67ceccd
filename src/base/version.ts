import { readFileSync } from "node:fs";

// dist/src/base/version.js -> the package's root.
const manifest = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** The version of this package. */
export const softwareVersion = manifest.version;
