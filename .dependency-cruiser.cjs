// Imports point downwards only: see ARCHITECTURE.md, "Floors".
const floor1 = ["tls-sni", "transport", "rendezvous", "balance", "settings", "certificates"];

/** A folder may import from these folders of ours, and from itself. */
const mayImport = (folder, allowed) => ({
  name: `floor-${folder}`,
  comment: `src/${folder} may import only from: ${[folder, ...allowed].join(", ")}`,
  severity: "error",
  from: { path: `^src/${folder}/` },
  to: { path: "^src/", pathNot: [folder, ...allowed].map((name) => `^src/${name}/`) },
});

/** Only this folder may import the package. */
const onlyIn = (folder, name, packages) => ({
  name: `only-${folder}-${name}`,
  severity: "error",
  from: { path: "^src/", pathNot: `^src/${folder}/` },
  to: { path: packages.map((one) => `node_modules/${one}/`) },
});

module.exports = {
  forbidden: [
    {
      name: "no-circles",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    { name: "no-unknown", severity: "error", from: {}, to: { couldNotResolve: true } },
    mayImport("base", []),
    ...floor1.map((folder) => mayImport(folder, ["base"])),
    mayImport("mesh", ["base", ...floor1]),
    mayImport("admin", ["base", ...floor1]),
    mayImport("public", ["base", ...floor1, "mesh", "admin"]),
    mayImport("private", ["base", ...floor1, "mesh", "admin"]),
    onlyIn("mesh", "grpc", ["@grpc", "grpc-health-check"]),
    onlyIn("settings", "convict", ["convict"]),
    onlyIn("admin", "metrics", ["prom-client"]),
    onlyIn("base", "log", ["pino", "pino-pretty"]),
    {
      name: "data-plane-knows-no-control-plane",
      comment:
        "the data plane lives in a worker: no gRPC, no settings, no admin, no certificates, no name lookups, no log",
      severity: "error",
      from: {
        path: "^src/(public|private)/(data-plane|connection|attempt|dial-back|dial-back-header|dialling|reaching|server-loads|live-connections|live-rendezvous|names|parking|late-tokens|targets|offences|balance|target-header|start-tls|preamble|refusal|loads|relief|worker)\\.ts$",
      },
      to: {
        path: "^src/(mesh|settings|admin|certificates)/|^src/base/(log|lookup)\\.ts$|^src/(public|private)/(control-plane|proxy|start-data-planes|registry|sessions|grants|attachment|target-book|endpoint-rules)\\.ts$",
      },
    },
    {
      name: "product-imports-no-tests",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(test|examples|scripts|bench)/" },
    },
  ],
  options: {
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^src/mesh/generated/" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "types", "default"] },
  },
};
