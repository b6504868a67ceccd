import { connect } from "node:tls";
import type { SteadyClock } from "../steady-clock.js";
import { checkBytes, knownBytes } from "./bytes.js";
import type { Outcome } from "./client.js";

export interface TlsPlan {
  readonly port: number;
  readonly name: string;
  readonly ca: Buffer;
  readonly key: string;
  /** At most 64 KiB, which come back. */
  readonly bytes: number;
}

export interface TlsReport {
  readonly outcome: Outcome;
  readonly detail: string;
}

/** Alerts that the public proxy may send; OpenSSL has names of its own for them. */
const alerts = [
  "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR",
  "ERR_SSL_TLSV1_UNRECOGNIZED_NAME",
  "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
];

/** A real TLS client whose server sends back what it gets. Any complaint of TLS itself means that bytes were changed. */
export function runTlsClient(plan: TlsPlan, clock: SteadyClock, silenceMs: number): Promise<TlsReport> {
  const { port, name, ca, key, bytes } = plan;
  const back = checkBytes(key, bytes);
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", servername: name, ca });
    let outcome: TlsReport | undefined;
    let movedAt = clock.now;
    let secure = false;
    const stopWatching = clock.onTick(() => {
      if (clock.now - movedAt > silenceMs) finish("hung", `TLS, ${secure ? "after" : "in"} its handshake`);
    });
    function finish(what: Outcome, detail = ""): void {
      outcome ??= { outcome: what, detail };
      socket.destroy();
    }
    socket.once("secureConnect", () => {
      secure = true;
      movedAt = clock.now;
      socket.end(knownBytes(key).next(bytes));
    });
    socket.on("data", (chunk: Buffer) => {
      movedAt = clock.now;
      const problem = back.take(chunk);
      if (problem !== undefined) finish("lied", `TLS: ${problem}`);
    });
    socket.once("end", () => {
      if (secure && back.got === bytes) finish("complete");
      else finish(secure ? "endedEarly" : "closed");
    });
    socket.on("error", ({ code = "" }: NodeJS.ErrnoException) => {
      if (alerts.includes(code)) finish("alert", code);
      else if (code.startsWith("ERR_SSL") || code.includes("CERT")) finish("lied", `TLS: ${code}`);
      else finish(code === "ECONNREFUSED" ? "unreachable" : "brokeOff", code);
    });
    socket.once("close", () => {
      stopWatching();
      resolve(outcome ?? { outcome: "brokeOff", detail: "" });
    });
  });
}
