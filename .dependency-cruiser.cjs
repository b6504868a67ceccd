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

/** What runs on the main thread: all else of the two roles is a data plane's, or known to both. */
const controlPlane =
  "^src/(public/(control-plane|proxy|start-data-planes|registry|contest|descriptor-need|sessions|grants|outbox|in-force|replay|sockets|take-over|take-over-lines|predecessor|successor|state-directory)|private/(control-plane|proxy|start-data-planes|attachment|attachments|known-addresses|public-name|announcing|health-checks|probe|status|endpoint-rules|target-book|target-caps|hosts|health|deal|pool|pool-size|token-stock|parked-share|replay))\\.ts$";

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
      from: { path: "^src/(public|private)/", pathNot: controlPlane },
      to: { path: `^src/(mesh|settings|admin|certificates)/|^src/base/(log|lookup)\\.ts$|${controlPlane}` },
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
