import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createSecureContext, DEFAULT_CIPHERS, type SecureContext, connect as tlsConnect } from "node:tls";
import { messageOf } from "../base/errors.js";
import { encodeProxyV1 } from "../rendezvous/proxy-v1.js";
import { proxyV2Local } from "../rendezvous/proxy-v2-encode.js";
import type { ResolvedAddress } from "../transport/transport.js";
import type { HealthCheck, Probe, ProbeResult } from "./health.js";
import { agreed, sslRequest } from "./start-tls.js";
import type { TargetStatement } from "./target-book.js";

export interface ProbeOptions {
  readonly check: Pick<HealthCheck, "type" | "timeoutMs">;
  readonly target: Pick<TargetStatement, "names" | "proxyProtocol" | "startTls">;
  /** Tried in turn, as for a client: one that passes is enough. */
  readonly addresses: readonly ResolvedAddress[];
}

/**
 * Asks once whether a server is there. `tcp` connects and closes. `tls` makes a whole handshake, after what the target
 * expects before one: a PROXY header that speaks of no client, PostgreSQL's request for TLS. What the server presents is not
 * judged, that is for its clients to do. Owns its sockets.
 */
export function startProbe(options: ProbeOptions): Probe {
  const cancelled = new AbortController();
  return { result: run(options, cancelled.signal), cancel: () => cancelled.abort() };
}

async function run(options: ProbeOptions, cancelled: AbortSignal): Promise<ProbeResult> {
  const { addresses, check } = options;
  const endsAt = performance.now() + check.timeoutMs;
  let why: string | undefined = "its name cannot be looked up";
  for (const [index, address] of addresses.entries()) {
    if (cancelled.aborted) break;
    const msLeft = Math.max(1, (endsAt - performance.now()) / (addresses.length - index));
    why = await attempt(address, options, { msLeft, cancelled });
    if (why === undefined) return { status: "passed" };
  }
  return { status: "failed", why };
}

/** Resolves with what went wrong, or with undefined. */
async function attempt(
  address: ResolvedAddress,
  { check, target }: ProbeOptions,
  { msLeft, cancelled }: { readonly msLeft: number; readonly cancelled: AbortSignal },
): Promise<string | undefined> {
  const over = new AbortController();
  let awaited = "connection";
  const timer = setTimeout(() => over.abort(`no ${awaited} within ${Math.round(msLeft)} ms`), msLeft);
  const cancel = () => over.abort("the check was given up");
  cancelled.addEventListener("abort", cancel);
  const socket = connect(address.kind === "unix" ? { path: address.path } : { host: address.ip, port: address.port });
  socket.on("error", () => {});
  socket.on("close", () => over.abort(`the server closed the connection, no ${awaited}`));
  const { signal } = over;
  try {
    await once(socket, "connect", { signal });
    if (check.type === "tcp") {
      socket.destroy();
      return undefined;
    }
    const header = headerOf(target);
    if (header !== undefined) socket.write(header);
    if (target.startTls === "postgres") {
      awaited = "answer to the request for TLS";
      const refusal = await askForTls(socket, signal);
      if (refusal !== undefined) return refusal;
    }
    awaited = "TLS handshake";
    await handshake(socket, target.names, signal);
    return undefined;
  } catch (error) {
    return signal.aborted && typeof signal.reason === "string" ? signal.reason : whyOf(error, awaited);
  } finally {
    clearTimeout(timer);
    cancelled.removeEventListener("abort", cancel);
    if (awaited !== "TLS handshake" || signal.aborted) socket.destroy();
  }
}

/** Speaks about no client: the sender's own connection (PROXY protocol, sections 2.1 and 2.2). */
function headerOf({ proxyProtocol }: ProbeOptions["target"]): Uint8Array | undefined {
  if (proxyProtocol === "none") return undefined;
  return proxyProtocol === "v2" ? proxyV2Local : encodeProxyV1({ source: nobody, destination: nobody });
}

const nobody = { family: "unix" } as const;

async function askForTls(socket: Socket, signal: AbortSignal): Promise<string | undefined> {
  socket.write(sslRequest);
  const [answer] = (await once(socket, "data", { signal })) as [Buffer];
  return answer.length === 1 && answer[0] === agreed ? undefined : "the server did not answer S to the request for TLS";
}

async function handshake(socket: Socket, names: readonly string[], signal: AbortSignal): Promise<void> {
  const servername = names.find((name) => !name.includes("*"));
  const secured = tlsConnect({
    socket,
    secureContext: lenientContext(),
    rejectUnauthorized: false,
    ...(servername === undefined ? {} : { servername }),
  });
  secured.on("error", () => {});
  try {
    await once(secured, "secureConnect", { signal });
    // With a close_notify, so that the server has nothing to complain about.
    secured.destroySoon();
  } catch (error) {
    secured.destroy();
    throw error;
  }
}

let context: SecureContext | undefined;

/** Whether a server is good enough is its clients' business: also an old one speaks TLS. */
function lenientContext(): SecureContext {
  context ??= createSecureContext({ ca: [], minVersion: "TLSv1", ciphers: `${DEFAULT_CIPHERS}:@SECLEVEL=0` });
  return context;
}

function whyOf(error: unknown, awaited: string): string {
  const { reason } = error as { readonly reason?: unknown };
  return typeof reason === "string" ? `no ${awaited}: ${reason}` : messageOf(error);
}
