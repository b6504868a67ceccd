import type { Log, LogFields } from "../../src/base/log.js";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: LogFields;
}

/** A log that keeps its lines, and lets a test wait for one. */
export interface MemoryLog extends Log {
  readonly lines: readonly LogLine[];
  /** Resolves with the first line, past or to come, that fits. Rejects after ten seconds. */
  line(fits: (line: LogLine) => boolean): Promise<LogLine>;
  /** Everything that was logged, as text. */
  text(): string;
}

const patienceMs = 10_000;

export function memoryLog(): MemoryLog {
  const lines: LogLine[] = [];
  const waiting = new Set<(line: LogLine) => void>();
  const keep = (level: LogLine["level"]) => (fields: LogFields, message: string) => {
    const line = { level, message, fields };
    lines.push(line);
    for (const notify of [...waiting]) notify(line);
  };
  return {
    lines,
    debug: keep("debug"),
    info: keep("info"),
    warn: keep("warn"),
    error: keep("error"),
    setLevel() {},
    close() {},
    text: () => lines.map((line) => JSON.stringify(line)).join("\n"),
    line(fits) {
      const known = lines.find(fits);
      if (known !== undefined) return Promise.resolve(known);
      return new Promise((resolve, reject) => {
        const stop = () => {
          clearTimeout(timer);
          waiting.delete(notify);
        };
        const notify = (line: LogLine) => {
          if (!fits(line)) return;
          stop();
          resolve(line);
        };
        const timer = setTimeout(() => {
          stop();
          reject(
            new Error(
              `the log line did not come within ${patienceMs} ms; there are:\n${lines.map((line) => `${line.message} ${JSON.stringify(line.fields)}`).join("\n")}`,
            ),
          );
        }, patienceMs);
        waiting.add(notify);
      });
    },
  };
}
