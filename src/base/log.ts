import { type DestinationStream, destination, type Logger, multistream, pino } from "pino";
import pretty from "pino-pretty";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
export type LogFields = Record<string, unknown>;

export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  setLevel(level: LogLevel): void;
  /** Writes out what is buffered and closes the destination where it is a file of ours. */
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

/** One log per process. Lines are written synchronously, so that none is lost when the process ends. */
export function createLog(options: LogOptions): Log {
  const file = options.file === undefined ? undefined : destination({ dest: options.file, sync: true, mkdir: true });
  const sink: DestinationStream = file ?? destination({ dest: 1, sync: true });
  const asPretty = options.format === "pretty" || (options.format === "auto" && !file && process.stdout.isTTY === true);
  const stream = asPretty
    ? multistream([{ level: "trace", stream: pretty({ destination: file ?? 1, sync: true, ignore: "pid,hostname" }) }])
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
      file?.flushSync();
      file?.end();
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
