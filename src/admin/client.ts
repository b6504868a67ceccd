import { type IncomingMessage, request } from "node:http";
import { type Address, formatAddress } from "../base/address.js";
import { messageOf, ProxyError } from "../base/errors.js";

/** Where a running proxy's admin endpoint is. */
export interface AdminTarget {
  readonly address: Address;
  readonly token: string | undefined;
}

export interface AdminResponse {
  readonly status: number;
  /** What the JSON says, or the text where it is none. */
  readonly body: unknown;
}

const timeoutMs = 10_000;

/** One request to a running proxy. Throws `connect_refused` or `connect_timeout`; an HTTP status is never thrown. */
export function askAdmin(target: AdminTarget, method: "GET" | "POST", path: string): Promise<AdminResponse> {
  const { address, token } = target;
  const where = formatAddress(address);
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => {
      if (cause instanceof ProxyError) return reject(cause);
      reject(new ProxyError("connect_refused", `no proxy answers at ${where}: ${whyNot(cause)}`, { cause }));
    };
    const call = request(
      {
        ...(address.kind === "unix" ? { socketPath: address.path } : { host: address.host, port: address.port }),
        method,
        path,
        agent: false,
        timeout: timeoutMs,
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      },
      (response) => {
        bodyOf(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), fail);
      },
    );
    call.on("timeout", () =>
      call.destroy(new ProxyError("connect_timeout", `${where} did not answer within ${timeoutMs} ms`)),
    );
    call.on("error", fail);
    call.end();
  });
}

async function bodyOf(response: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nobody listens there",
  ENOENT: "there is no such socket",
  EACCES: "this user may not open it",
  EPERM: "this user may not open it",
  ENOTSOCK: "this is no socket",
  ENOTFOUND: "the host cannot be looked up",
  EAI_AGAIN: "the host cannot be looked up",
  ECONNRESET: "the connection was cut",
};

/** A name with several addresses fails with an error that has a code and no message. */
function whyNot(cause: unknown): string {
  const { code = "" } = cause as NodeJS.ErrnoException;
  if (code.startsWith("HPE_")) return "what listens there does not speak HTTP";
  return reasons[code] ?? (messageOf(cause) || code);
}
