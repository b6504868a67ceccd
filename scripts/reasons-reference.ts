/**
 * Writes docs/reasons.md from the table of reason codes; with --check it only says whether the page is up to date, by its
 * exit status.
 */
import { type Reason, type ReasonScope, reasonCodes, reasons } from "../src/base/reasons.js";
import { writeOrCheck } from "./generated-page.js";

const introduction = `# Reason codes

<!-- Made from the table by \`node dist/scripts/reasons-reference.js\`; edit src/base/reasons.ts, not this file. -->

Whatever is refused or fails has one of these codes. It stands as \`reason\` in the log line and, where something was
refused, under \`refused\` in the status and as the label \`reason\` of the metric \`proxy_refused_total\`. The level is that
of the log line. The alert is what a TLS client is told (RFC 8446 §6) before its connection is closed; where there is
none, nothing is said in TLS.
`;

const sections: Readonly<Record<ReasonScope, { readonly title: string; readonly about: string }>> = {
  client: {
    title: "Clients",
    about: "A client connection on the public proxy that was not served.",
  },
  rendezvous: {
    title: "Dial-backs",
    about:
      "A connection to the public proxy's rendezvous port that was turned away. It is closed without an answer; clients that wait are not touched.",
  },
  mesh: {
    title: "The mesh",
    about:
      "A private proxy that could not attach, or was lost. `mesh_unreachable` and `mesh_lost` stand in the private proxy's log only; the others are the public proxy's.",
  },
  offer: {
    title: "Offers",
    about:
      "An offer that a private proxy did not turn into a connection. The public proxy then turns to the next private proxy with the name, so the client may have been served all the same.",
  },
  transport: {
    title: "Sockets",
    about:
      "What connecting, listening and reading can meet. Where a private proxy fails to connect, `detail` of another reason says so in the system's words; the two about listening are why a proxy does not start (exit status 1).",
  },
  settings: {
    title: "Settings",
    about: "A proxy that does not start (exit status 78), or a command that finds no good ones.",
  },
  internal: { title: "Faults", about: "What must not happen." },
};

/** RFC 8446 §6 and RFC 6066 §3, as far as the table uses them. */
const alertNames: Readonly<Record<number, string>> = {
  10: "unexpected_message",
  22: "record_overflow",
  40: "handshake_failure",
  47: "illegal_parameter",
  49: "access_denied",
  50: "decode_error",
  80: "internal_error",
  112: "unrecognized_name",
};

function section(scope: ReasonScope): string {
  const { title, about } = sections[scope];
  const codes = reasonCodes.filter((code) => reasons[code].scope === scope);
  const alerting = codes.some((code) => "alert" in reasons[code]);
  const columns = ["code", "what happened", ...(alerting ? ["alert"] : []), "level", "what to do"];
  const rows = codes.map((code) => {
    const { means, remedy, level, ...reason }: Reason = reasons[code];
    const cells = [`\`${code}\``, means, ...(alerting ? [alertText(reason.alert)] : []), level, remedy];
    return `| ${cells.join(" | ")} |`;
  });
  const head = [`| ${columns.join(" | ")} |`, `| ${columns.map(() => "---").join(" | ")} |`];
  return `${[`## ${title}`, "", about, "", ...head, ...rows].join("\n")}\n`;
}

function alertText(alert: number | undefined): string {
  if (alert === undefined) return "none";
  const name = alertNames[alert];
  if (name === undefined) throw new Error(`alert ${alert} has no name here`);
  return `${alert} ${name}`;
}

writeOrCheck("reasons.md", [introduction, ...(Object.keys(sections) as ReasonScope[]).map(section)].join("\n"));
