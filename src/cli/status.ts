import colors from "picocolors";
import type { Status, TargetStatus } from "../admin/status.js";
import { type ReasonCode, reason } from "../base/reasons.js";
import type { TargetOptions } from "./admin-target.js";
import { askRunning } from "./ask.js";
import { exitDone, exitFailed } from "./exit.js";

/** Resolves with the exit status. */
export async function showStatus({ json, ...target }: TargetOptions & { readonly json?: boolean }): Promise<number> {
  const asked = await askRunning(target, "GET", "/status");
  if ("exit" in asked) return asked.exit;
  const status = asked.body as Status;
  if (status.version !== 1) {
    console.error("what answers there speaks another version of the status, or is no proxy");
    return exitFailed;
  }
  process.stdout.write(json === true ? `${JSON.stringify(status, null, 2)}\n` : renderStatus(status));
  return exitDone;
}

function renderStatus(status: Status): string {
  const { connections, bytes } = status;
  const unready = status.state === "draining" ? "draining" : "not ready";
  const ready = status.ready ? colors.green("ready") : colors.yellow(unready);
  const lines = [
    `${colors.bold(status.name)}  ${status.role} proxy, ${ready}, version ${status.software}, since ${status.startedAt}`,
    ...Object.entries(status.listening).map(([name, addresses]) => `  ${name} on ${addresses.join(", ")}`),
    `  connections: ${connections.live} live, ${connections.opened} opened, ${connections.closed} closed; ${bytes.up} bytes up, ${bytes.down} down`,
    `  pool: ${status.pooledDialBacks} dial-backs parked`,
    "",
    ...table(
      "attachments",
      status.attachments,
      status.role === "public" ? publicColumns.attachments : privateColumns.attachments,
    ),
    "",
    ...table(
      "announcements",
      status.announcements,
      status.role === "public" ? publicColumns.announcements : privateColumns.announcements,
    ),
  ];
  if (status.targets !== undefined) lines.push("", ...table("targets", targetRows(status.targets), targetColumns));
  const refused = Object.entries(status.refused).map(([code, count]) => ({
    reason: code,
    count,
    meaning: reason(code as ReasonCode)?.means ?? "",
  }));
  if (refused.length > 0) lines.push("", ...table("refused", refused, ["reason", "count", "meaning"]));
  return `${lines.join("\n")}\n`;
}

const publicColumns = {
  attachments: ["identity", "name", "peer", "state", "rttMs", "since", "version"],
  announcements: ["name", "identity", "privateProxy", "status", "alpn"],
} as const;

const privateColumns = {
  attachments: ["publicProxy", "address", "state", "nodeName", "since", "why"],
  announcements: ["name", "target", "publicProxy", "address", "status", "detail"],
} as const;

const targetColumns = ["names", "address", "state", "live", "queued", "why"];

/** One for each address; who queues is for all of them. Of many names only the first, for a target may bear thousands. */
function targetRows(targets: readonly TargetStatus[]) {
  return targets.flatMap(({ names, addresses, queue }) => {
    const more = names.length === 1 ? "" : ` and ${names.length - 1} more`;
    return addresses.map((address) => ({ ...address, queued: queue?.queued, names: `${names[0]}${more}` }));
  });
}

function table(
  title: string,
  rows: readonly Readonly<Record<string, unknown>>[],
  columns: readonly string[],
): string[] {
  if (rows.length === 0) return [`${title}: none`];
  const cells = rows.map((row) => columns.map((column) => textOf(row[column])));
  const widths = columns.map((column, at) => Math.max(column.length, ...cells.map((line) => line[at]!.length)));
  const draw = (line: readonly string[]) =>
    `  ${line.map((cell, at) => cell.padEnd(widths[at]!)).join("  ")}`.trimEnd();
  return [`${title}: ${rows.length}`, colors.dim(draw(columns)), ...cells.map(draw)];
}

function textOf(value: unknown): string {
  if (value === null || value === undefined || value === "") return "-";
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.join(",");
  return String(value);
}
