export { alertRecord } from "./alert.js";
export type { ClientHello } from "./client-hello.js";
export { createHelloReader, defaultMaxHelloBytes, type HelloReader, type HelloResult } from "./hello-reader.js";
export { type ParsedPattern, type Pattern, parsePattern, patternCovers, patternMatches } from "./pattern.js";
export { createPatternTable, type PatternEntry, type PatternTable } from "./pattern-table.js";
export { preferAlpn } from "./prefer-alpn.js";
export type { HelloRejection } from "./rejection.js";
export { canonicalName } from "./server-name.js";
