import { destination, type Logger, multistream, pino } from "pino";
import pretty from "pino-pretty";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
export type LogFields = Record<string, unknown>;

export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  setLevel(level: LogLevel): void;
  /** Closes the destination where it is a file of ours. */
  close(): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** `auto`: pretty on a terminal, JSON otherwise. */
  readonly format: "auto" | "json" | "pretty";
  /** A file to append to, instead of standard output. */
  readonly file?: string | undefined;
  /** Fields that every line carries. */
  readonly bindings: LogFields;
}

/** What a full disk may make us keep; what comes after that is dropped. */
const maxUnwrittenBytes = 4 * 1024 * 1024;

/**
 * One log per process. Lines are written synchronously, so that none is lost when the process ends. Throws the system's
 * error where the file cannot be opened. After that a log that cannot be written (a full disk) stops nothing.
 */
export function createLog(options: LogOptions): Log {
  const common = { sync: true, maxLength: maxUnwrittenBytes };
  const file = options.file === undefined ? undefined : destination({ ...common, dest: options.file, mkdir: true });
  const sink = file ?? destination({ ...common, dest: 1 });
  sink.on("error", () => {});
  const asPretty = options.format === "pretty" || (options.format === "auto" && !file && process.stdout.isTTY === true);
  const stream = asPretty
    ? multistream([{ level: "trace", stream: pretty({ destination: sink, sync: true, ignore: "pid,hostname" }) }])
    : sink;
  const logger: Logger = pino({ level: options.level, base: options.bindings }, stream);
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    setLevel(level) {
      logger.level = level;
    },
    close() {
      // All is written already. What a full disk did not take would be tried for ever by `flushSync` and `end`.
      file?.destroy();
    },
  };
}

/** A log that keeps nothing: for embedding and tests. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  setLevel() {},
  close() {},
};
