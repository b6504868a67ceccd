import colors from "picocolors";
import { askAdmin } from "../admin/client.js";
import type { Status } from "../admin/status.js";
import { codeOf, messageOf } from "../base/errors.js";
import { type ReasonCode, reason } from "../base/reasons.js";
import { adminTarget } from "./admin-target.js";
import { exitDone, exitFailed, exitSettings } from "./exit.js";

/** Resolves with the exit status. */
export async function showStatus(options: { settings?: string; admin?: string; json?: boolean }): Promise<number> {
  try {
    const { status, body } = await askAdmin(adminTarget(options), "GET", "/status");
    if (status !== 200) {
      console.error(`proxy status: ${(body as { error?: string }).error ?? `status ${status}`}`);
      return exitFailed;
    }
    process.stdout.write(options.json === true ? `${JSON.stringify(body, null, 2)}\n` : renderStatus(body as Status));
    return exitDone;
  } catch (error) {
    console.error(messageOf(error));
    return codeOf(error) === "settings_invalid" ? exitSettings : exitFailed;
  }
}

function renderStatus(status: Status): string {
  const { connections, bytes } = status;
  const ready = status.ready ? colors.green("ready") : colors.yellow("not ready");
  const lines = [
    `${colors.bold(status.name)}  ${status.role} proxy, ${ready}, version ${status.software}, since ${status.startedAt}`,
    ...Object.entries(status.listening).map(([name, addresses]) => `  ${name} on ${addresses.join(", ")}`),
    `  connections: ${connections.live} live, ${connections.opened} opened, ${connections.closed} closed; ${bytes.up} bytes up, ${bytes.down} down`,
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
  attachments: ["publicProxy", "state", "nodeName", "since", "why"],
  announcements: ["name", "target", "publicProxy", "status", "detail"],
} as const;

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
