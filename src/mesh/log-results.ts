import type { Log, LogFields } from "../base/log.js";
import type { NameResult, NameStatus } from "./messages.js";

/** Names listed one by one in the log; of more, only the counts. */
const maxListed = 20;

/** Logs what became of an announcement, on whichever side: what was not accepted is a warning. */
export function logResults(log: Log, fields: LogFields, results: readonly NameResult[]): void {
  const byStatus = new Map<NameStatus, NameResult[]>();
  for (const result of results) {
    const group = byStatus.get(result.status);
    if (group === undefined) byStatus.set(result.status, [result]);
    else group.push(result);
  }
  for (const [status, group] of byStatus) {
    const level = status === "accepted" ? "info" : "warn";
    const message = status === "accepted" ? "name announced" : "announcement not accepted";
    if (group.length > maxListed)
      log[level]({ ...fields, status, names: group.length, first: group[0]?.name }, message);
    else
      for (const { name, detail } of group) log[level]({ ...fields, name, status, ...(detail && { detail }) }, message);
  }
}
